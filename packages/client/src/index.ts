export { Client, type ClientOptions, type JobQuery } from './client.js';
