import type { TarMember } from './tar-index.js';

/** A sample's parts in a shard: undefined where it lacks one. */
export interface ShardSample {
  readonly key: string;
  readonly image: TarMember | undefined;
  readonly caption: TarMember | undefined;
  /** Extension of the caption, which says how it is read. */
  readonly captionKind: string;
  readonly label: TarMember | undefined;
}

/**
 * Groups the members of a shard into samples, as WebDataset does: the key is the name up to the first dot of its last
 * segment, the rest is the extension (case-blind). Members of a sample may lie anywhere in the shard; of two of the
 * same name the later counts, as in tar. Samples keep the order of their first member. Members with neither a picture's
 * nor a caption's extension make no sample, as do `__meta__` names and macOS's `._` files.
 */
export function groupSamples(
  members: readonly TarMember[],
  imageKeys: readonly string[],
  captionKeys: readonly string[],
  labelKeys: readonly string[] = [],
): ShardSample[] {
  const images = new Set(imageKeys.map(lower));
  const captions = captionKeys.map(lower);
  const labels = labelKeys.map(lower);
  const known = new Set([...images, ...captions, ...labels]);
  const parts = new Map<string, Map<string, TarMember>>();
  for (const member of members) {
    const match = /^((?:.*\/)?([^./][^./]*|\.[^./]+))\.([^/]+)$/.exec(member.name);
    if (match === null) continue;
    const [, key, base, extension] = match as unknown as [string, string, string, string];
    const kind = lower(extension);
    if (base.startsWith('.') || /^__.*__$/.test(base) || !known.has(kind)) continue;
    const sample = parts.get(key) ?? new Map<string, TarMember>();
    sample.set(kind, member);
    parts.set(key, sample);
  }
  return [...parts].flatMap(([key, members]) => {
    const captionKind = captions.find((kind) => members.has(kind)) ?? '';
    const imageKind = [...images].find((kind) => members.has(kind)) ?? '';
    if (captionKind === '' && imageKind === '') return [];
    const label = members.get(labels.find((kind) => members.has(kind)) ?? '');
    return [{ key, image: members.get(imageKind), caption: members.get(captionKind), captionKind, label }];
  });
}

const lower = (text: string): string => text.toLowerCase();
