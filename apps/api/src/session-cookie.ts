import type { FastifyReply, FastifyRequest } from 'fastify';

/** A browser's token, where pages cannot read it; browsers send it with requests of our own pages only. */
const COOKIE = 'clipyard_token';

export function sessionToken({ headers: { cookie } }: FastifyRequest): string | undefined {
  const [, token] = new RegExp(`(?:^|; *)${COOKIE}=([\\w.~-]+)`).exec(cookie ?? '') ?? [];
  return token;
}

export function setSession(request: FastifyRequest, reply: FastifyReply, token: string): void {
  reply.header('set-cookie', `${COOKIE}=${token}; ${attributes(request)}`);
}

export function clearSession(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('set-cookie', `${COOKIE}=; Max-Age=0; ${attributes(request)}`);
}

function attributes({ protocol }: FastifyRequest): string {
  return `Path=/; HttpOnly; SameSite=Strict${protocol === 'https' ? '; Secure' : ''}`;
}
