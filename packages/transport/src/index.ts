export { type ConnectRanksOptions, connectRanks } from './connect-ranks.js';
export type { Identity } from './handshake.js';
export { memoryLinkPair } from './memory-link.js';
export { TcpLink, type TcpLinkOptions } from './tcp-link.js';
export { TcpListener } from './tcp-listener.js';
