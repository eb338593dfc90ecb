/**
 * zod compiles schemas with `new Function` where it may; the policy of the page forbids that, and trying it is reported.
 * Imported before anything that imports zod.
 */
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });
