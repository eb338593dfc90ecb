export { createGroup, type GroupOptions, type LinkGroup } from './link-group.js';
