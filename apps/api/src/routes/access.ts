import { newTokenSchema, OPERATIONS, signInSchema } from '@clipyard/contracts';
import { Behalf } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { parseBody } from '../request-input.js';
import { serve } from '../serve.js';
import { clearSession, setSession } from '../session-cookie.js';

/** Tokens, the session of a browser, and the audit log. */
export function accessRoutes(server: FastifyInstance): void {
  serve(server, OPERATIONS.whoAmI, async ({ control }) => control.access.whoAmI());
  serve(server, OPERATIONS.signIn, async ({ body, control, request, reply }) => {
    server.admission.refuseForeign(request);
    const { token } = parseBody(signInSchema, body);
    const caller = await server.limits.guard(request, reply, () => server.admission.callerOf(token));
    setSession(request, reply, token);
    return control.as(new Behalf(caller)).access.whoAmI();
  });
  serve(server, OPERATIONS.signOut, async ({ request, reply }) => {
    clearSession(request, reply);
    return reply.code(204).send();
  });
  serve(server, OPERATIONS.createToken, async ({ body, control, reply }) => {
    const token = await control.access.createToken(parseBody(newTokenSchema, body));
    return reply.code(201).header('location', `/v1/tokens/${token.id}`).header('cache-control', 'no-store').send(token);
  });
  serve(server, OPERATIONS.listTokens, ({ control, query }) => control.access.listTokens(query));
  serve(server, OPERATIONS.getToken, ({ control, params }) => control.access.getToken(params.id));
  serve(server, OPERATIONS.revokeToken, ({ control, params }) => control.access.revokeToken(params.id));
  serve(server, OPERATIONS.listAudit, ({ control, query }) => control.access.listAudit(query));
}
