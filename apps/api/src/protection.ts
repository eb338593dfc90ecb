import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** Files in PEM. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** How often they are looked at for a renewal, ms; default 10 s. */
  readonly pollMs?: number;
}

const RENEWAL_POLL_MS = 10_000;
/** How long browsers come by TLS only, seconds: half a year. */
const STRICT_TRANSPORT_S = 15_552_000;

/** Headers that browsers are protected by. Pages set a policy of their own for what they load. */
export function installHeaders(
  server: FastifyInstance,
  { tls, corsOrigins }: { readonly tls: boolean; readonly corsOrigins: readonly string[] },
): void {
  server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: tls ? { maxAge: STRICT_TRANSPORT_S } : false,
    frameguard: { action: 'deny' },
  });
  if (corsOrigins.length === 0) return;
  server.register(cors, {
    origin: [...corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: ['etag', 'idempotency-replayed', 'location', 'retry-after', 'x-request-id'],
  });
}

/** Throws `config_invalid` for files that cannot be read. */
export function readTls({ certFile, keyFile }: TlsFiles): { cert: Buffer; key: Buffer } {
  return { cert: readPem('CLIPYARD_TLS_CERT', certFile), key: readPem('CLIPYARD_TLS_KEY', keyFile) };
}

/** Takes up a renewed certificate; connections that are open go on. Returns what ends that. */
export function followTls(server: FastifyInstance, files: TlsFiles): () => void {
  const renew = () => {
    try {
      (server.server as unknown as Server).setSecureContext(readTls(files));
      server.log.info(files, 'took up the renewed certificate');
    } catch (error) {
      // The two are not replaced at one moment: until they fit, the old ones stay.
      server.log.warn({ err: ClipyardError.from(error) }, 'the renewed certificate cannot be used yet');
    }
  };
  const names = [files.certFile, files.keyFile];
  for (const name of names) watchFile(name, { interval: files.pollMs ?? RENEWAL_POLL_MS, persistent: false }, renew);
  return () => {
    for (const name of names) unwatchFile(name, renew);
  };
}

function readPem(path: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const message = `cannot be read: ${(error as NodeJS.ErrnoException).code}`;
    const remedy = 'Name a file in PEM that the user of the API may read.';
    throw fieldError('config_invalid', { path, message, value: file, remedy });
  }
}
