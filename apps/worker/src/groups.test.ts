import { createGroup } from '@clipyard/collectives';
import type { Group, Link, PeerAddress } from '@clipyard/contracts';
import { groupSuite } from '@clipyard/testkit';
import { connectRanks, memoryLinkPair, TcpListener } from '@clipyard/transport';

/** The links of each rank, and the groups over them. */
function groupSet(linksByRank: readonly (readonly Link[])[]) {
  const worldSize = linksByRank.length;
  const groups: Group[] = linksByRank.map((links, rank) => createGroup(links, { rank, worldSize }));
  return {
    groups,
    kill: async (rank: number) => void (await Promise.all(linksByRank[rank]!.map((link) => link.close()))),
    close: async () => void (await Promise.all(groups.map((group) => group.close()))),
  };
}

groupSuite('memory links', async (worldSize) => {
  const linksByRank: Link[][] = Array.from({ length: worldSize }, () => []);
  for (let a = 0; a < worldSize; a++) {
    for (let b = a + 1; b < worldSize; b++) {
      const [linkOfA, linkOfB] = memoryLinkPair([a, b]);
      linksByRank[a]!.push(linkOfA);
      linksByRank[b]!.push(linkOfB);
    }
  }
  return groupSet(linksByRank);
});

groupSuite('TCP', async (worldSize) => {
  const ranks = Array.from({ length: worldSize }, (_, rank) => rank);
  const listeners = await Promise.all(ranks.map(() => TcpListener.listen({ host: '127.0.0.1' })));
  const peers = listeners.map(({ port }, rank): PeerAddress => ({ rank, host: '127.0.0.1', port }));
  const secret = Buffer.alloc(32, 1).toString('base64url');
  const identity = { jobId: 'job-1', epoch: 1, worldSize, secret };
  return groupSet(
    await Promise.all(ranks.map((rank) => connectRanks({ ...identity, rank, listener: listeners[rank]!, peers }))),
  );
});
