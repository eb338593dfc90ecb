import { ClipyardError } from '@clipyard/contracts';
import { type Caller, LOCAL } from '@clipyard/control';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Each process of the API counts for itself. */
export interface RateLimits {
  /** Counts a request for its token; whoever is on the machine is not counted. Throws `rate_limited`. */
  count(request: FastifyRequest, reply: FastifyReply): Promise<void>;
  /** Throws what `look` throws; `rate_limited` in place of `token_invalid` when too many came from the address. */
  guard<T>(request: FastifyRequest, reply: FastifyReply, look: () => Promise<T>): Promise<T>;
}

type Limiter = ReturnType<FastifyInstance['createRateLimit']>;
const TIME_WINDOW_MS = 60_000;

/** In a minute: `requests` of a token, `refused` tokens of an address. */
export function installRateLimits(
  server: FastifyInstance,
  { requests, refused }: { readonly requests: number; readonly refused: number },
): RateLimits {
  const limiters = {} as { requests: Limiter; refused: Limiter };
  server.register(rateLimit, { global: false });
  server.after(() => {
    const limiter = (max: number, keyGenerator: (request: FastifyRequest) => string) =>
      server.createRateLimit({ max, timeWindow: TIME_WINDOW_MS, keyGenerator });
    limiters.requests = limiter(requests, ({ behalf }) => `token ${tokenOf(behalf!.caller)}`);
    limiters.refused = limiter(refused, ({ ip }) => `refused ${ip}`);
  });

  async function take(which: keyof typeof limiters, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const taken = await limiters[which](request);
    if (taken.isAllowed || !taken.isExceeded) return;
    const what = which === 'requests' ? 'requests' : 'tokens that are not valid';
    reply.header('retry-after', taken.ttlInSeconds);
    throw new ClipyardError(
      'rate_limited',
      `More than ${taken.max} ${what} in a minute. Ask again in ${taken.ttlInSeconds} s.`,
    );
  }

  return {
    async count(request, reply) {
      if (request.behalf?.caller !== LOCAL) await take('requests', request, reply);
    },
    async guard(request, reply, look) {
      try {
        return await look();
      } catch (error) {
        if (error instanceof ClipyardError && error.code === 'token_invalid') await take('refused', request, reply);
        throw error;
      }
    },
  };
}

const tokenOf = ({ tokenId, name }: Caller): string => tokenId ?? name;
