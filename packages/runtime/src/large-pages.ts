/**
 * The environment of a process that trains: glibc, from 2.35 on, asks the system for pages of 2 MiB for large arrays,
 * since a step goes through hundreds of MiB. Whoever has set that tunable, to whatever, is obeyed.
 */
export function withLargePages(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const tunables = environment.GLIBC_TUNABLES?.split(':').filter((tunable) => tunable !== '') ?? [];
  if (tunables.some((tunable) => tunable.startsWith('glibc.malloc.hugetlb='))) return environment;
  return { ...environment, GLIBC_TUNABLES: [...tunables, 'glibc.malloc.hugetlb=1'].join(':') };
}
