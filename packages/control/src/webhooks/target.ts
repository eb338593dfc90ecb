import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import ipaddr from 'ipaddr.js';

/** Where messages may go: a server must not be made to ask what only it can reach. */

/** Whether an address is on the internet, not of this machine, its networks or its cloud. */
export function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast';
}

/** Throws `request_invalid` for a URL that nothing may be sent to, as far as the URL itself tells. */
export function assertAllowedTarget(url: string, { allowPrivate }: { readonly allowPrivate: boolean }): void {
  const { protocol, hostname, username, password } = new URL(url);
  const refused = (message: string, remedy: string): ClipyardError =>
    fieldError('request_invalid', { path: 'url', message, value: url, remedy });
  if (username !== '' || password !== '')
    throw refused('holds a password', 'Leave it out: messages are signed with the secret.');
  if (allowPrivate) return;
  const remedy = 'Use another, or set CLIPYARD_WEBHOOK_ALLOW_PRIVATE=true where the scheduler and the API run.';
  if (protocol !== 'https:') throw refused('does not begin with https://', remedy);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) !== 0 && !isPublic(host)) throw refused('is a private address', remedy);
}

/** Looks names up, and fails when any of their addresses is private: asked when the connection is made, so no name can change its mind after. */
export function publicLookup(): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const hidden = addresses.find(({ address }) => !isPublic(address));
      if (hidden !== undefined) {
        callback(
          new ClipyardError('request_invalid', `${hostname} leads to the private address ${hidden.address}`),
          [],
        );
        return;
      }
      const [first] = addresses;
      if (options.all === true) callback(null, addresses);
      else callback(null, first!.address, first!.family);
    });
  };
}
