import { expect, it } from 'vitest';
import { withLargePages } from './large-pages.js';

it.each([
  [undefined, 'glibc.malloc.hugetlb=1'],
  ['', 'glibc.malloc.hugetlb=1'],
  ['glibc.malloc.check=1', 'glibc.malloc.check=1:glibc.malloc.hugetlb=1'],
  ['glibc.malloc.hugetlb=0', 'glibc.malloc.hugetlb=0'],
])('asks for large pages where GLIBC_TUNABLES is %j and does not say otherwise', (given, expected) => {
  const environment = { PATH: '/bin', ...(given !== undefined && { GLIBC_TUNABLES: given }) };
  expect(withLargePages(environment)).toEqual({ PATH: '/bin', GLIBC_TUNABLES: expected });
});
