export * from './api.js';
export * from './errors.js';
export * from './limits.js';
export * from './ports.js';
export * from './rank-protocol.js';
export * from './run-spec.js';
export * from './states.js';
