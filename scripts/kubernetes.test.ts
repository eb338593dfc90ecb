import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Ajv as AjvClass, AnySchema } from 'ajv';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'examples', 'kubernetes');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { parseAllDocuments, parse } = createRequire(join(root, 'apps/cli/package.json'))('yaml') as {
  parseAllDocuments(text: string): { toJS(): Manifest; errors: Error[] }[];
  parse(text: string, options: { merge: boolean }): unknown;
};
const { Ajv } = createRequire(join(root, 'apps/api/package.json'))('ajv') as { Ajv: typeof AjvClass };

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: checked by the schema of Kubernetes
  readonly [key: string]: any;
}

interface KubernetesSchema {
  readonly kinds: Record<string, { $ref: string }>;
  readonly definitions: Record<string, AnySchema>;
}
const schema = JSON.parse(read('scripts/fixtures/kubernetes.schema.json')) as KubernetesSchema;

/** A strategic merge patch holds the fields that it changes and no others. */
const withoutRequired = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutRequired);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key, part]) => !(key === 'required' && Array.isArray(part)));
  return Object.fromEntries(entries.map(([key, part]) => [key, withoutRequired(part)]));
};
const ajv = { whole: compiled(schema), patch: compiled(withoutRequired(schema) as KubernetesSchema) };

function compiled({ definitions }: KubernetesSchema): InstanceType<typeof AjvClass> {
  return new Ajv({ strict: false, allErrors: true }).addSchema({ $id: 'kubernetes', definitions });
}

/** What Kubernetes would say against a manifest. */
function problems(manifest: Manifest, kind: 'whole' | 'patch' = 'whole'): string[] {
  const { $ref } = schema.kinds[`${manifest.apiVersion}/${manifest.kind}`] ?? {};
  if ($ref === undefined) return [`${manifest.apiVersion}/${manifest.kind} is no kind that the schema holds`];
  const validate = ajv[kind].getSchema(`kubernetes${$ref}`)!;
  if (validate(manifest)) return [];
  return validate.errors!.map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

const files = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith('.yaml')).sort();
const documentsOf = (file: string): Manifest[] =>
  parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map((document) => {
    expect(document.errors, file).toEqual([]);
    return document.toJS();
  });
const kustomizations = files.filter((file) => file.endsWith('kustomization.yaml'));
const patches = new Set(
  kustomizations.flatMap((file) =>
    documentsOf(file).flatMap(({ patches = [] }) =>
      (patches as { path: string }[]).map(({ path }) => join(dirname(file), path)),
    ),
  ),
);
const base = files.filter((file) => !kustomizations.includes(file) && !patches.has(file)).flatMap(documentsOf);
const find = (kind: string, name: string) =>
  base.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
const workloads = base.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
const known = new Set([...read('docs/reference/environment.md').matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name));

describe('manifests', () => {
  test.each(files.filter((file) => !kustomizations.includes(file)))('%s is what Kubernetes takes', (file) => {
    for (const manifest of documentsOf(file))
      expect(problems(manifest, patches.has(file) ? 'patch' : 'whole'), manifest.metadata.name).toEqual([]);
  });

  test('an unknown field, one of a wrong type and a missing one are refused, in a patch the first two', () => {
    const [worker] = documentsOf('base/worker.yaml');
    const change = (edit: (manifest: Manifest) => void) => {
      const copy = structuredClone(worker!);
      edit(copy);
      return [problems(copy).join(), problems(copy, 'patch').join()];
    };
    const [unknown, unknownInPatch] = change(({ spec }) => {
      spec.template.spec.containers[0].livenessProbe.httpGet.url = '/';
    });
    expect(unknown).toContain('"additionalProperty":"url"');
    expect(unknownInPatch).toBe(unknown);
    const [wrong] = change(({ spec }) => {
      spec.replicas = 'two';
    });
    expect(wrong).toContain('/spec/replicas must be integer');
    const [lacking, lackingInPatch] = change(({ spec }) => {
      delete spec.selector;
    });
    expect(lacking).toContain('"missingProperty":"selector"');
    expect(lackingInPatch).toBe('');
  });

  test('kustomizations name files that are there, and all of them', () => {
    const named = kustomizations.flatMap((file) => {
      const [{ apiVersion, kind, ...rest }] = documentsOf(file) as [Manifest];
      expect({ apiVersion, kind }).toEqual({ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization' });
      const fields = ['namespace', 'labels', 'resources', 'patches', 'images'];
      expect(Object.keys(rest).filter((name) => !fields.includes(name))).toEqual([]);
      const paths = [...rest.resources, ...(rest.patches ?? []).map(({ path }: { path: string }) => path)];
      return paths.map((path: string) => join(dirname(file), path));
    });
    const isFile = (path: string) => path.endsWith('.yaml');
    expect(named.filter((path) => !existsSync(join(folder, path)))).toEqual([]);
    expect(named.filter(isFile).sort()).toEqual(files.filter((file) => !kustomizations.includes(file)));
  });

  test('a patch changes what the base has', () => {
    for (const { kind, metadata, spec } of [...patches].flatMap(documentsOf)) {
      const target = find(kind, metadata.name);
      expect(target, metadata.name).toBeDefined();
      const names = (template: Manifest) =>
        template.spec.containers.map(({ name }: { name: string }) => name) as string[];
      expect(names(target!.spec.template)).toEqual(expect.arrayContaining(names(spec.template)));
    }
  });

  test.each(workloads)(
    '$metadata.name selects its own pods, as its service and its budget do',
    ({ metadata, spec }) => {
      const { labels } = spec.template.metadata;
      expect(labels).toMatchObject(spec.selector.matchLabels);
      expect(find('PodDisruptionBudget', metadata.name)?.spec.selector.matchLabels).toEqual(spec.selector.matchLabels);
      const service = find('Service', metadata.name);
      if (spec.serviceName !== undefined) expect(service?.spec.clusterIP).toBe('None');
      if (service !== undefined) expect(labels).toMatchObject(service.spec.selector);
    },
  );

  test.each(workloads)('the pods of $metadata.name may do nothing that they need not', ({ spec }) => {
    const { securityContext, containers, automountServiceAccountToken } = spec.template.spec;
    expect(automountServiceAccountToken).toBe(false);
    expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    for (const container of containers)
      expect(container).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: { cpu: expect.anything(), memory: expect.anything() } },
        livenessProbe: { httpGet: { path: '/healthz', port: container.ports[0].name } },
        readinessProbe: { httpGet: { path: '/readyz', port: container.ports[0].name } },
      });
  });

  test('a pod has time to drain', () => {
    const drainMs = (app: string) => {
      const [, text] = read(`apps/${app}/src/main.ts`).match(/DRAIN_LIMIT_MS = ([\d_]+);/)!;
      return Number(text!.replaceAll('_', ''));
    };
    const grace = (kind: string, name: string) =>
      find(kind, name)?.spec.template.spec.terminationGracePeriodSeconds * 1000;
    expect(grace('StatefulSet', 'clipyard-worker')).toBeGreaterThan(drainMs('worker'));
    expect(grace('Deployment', 'clipyard-api')).toBeGreaterThan(drainMs('api') + 5_000);
    expect(grace('Deployment', 'clipyard-scheduler')).toBeGreaterThan(drainMs('api'));
  });

  test('variables are those that our processes read, and passwords come from a Secret that is not here', () => {
    const all = [...workloads, ...[...patches].flatMap(documentsOf)];
    const variables = all.flatMap(({ spec }) =>
      spec.template.spec.containers.flatMap(({ env = [] }: { env?: { name: string; value?: string }[] }) => env),
    );
    const settings = base.filter(({ kind }) => kind === 'ConfigMap').flatMap(({ data }) => Object.keys(data));
    const names = [...variables.map(({ name }) => name), ...settings];
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    for (const { name, value } of variables)
      if (/^(DATABASE|REDIS)_URL$|TOKEN|SECRET|PASSWORD/.test(name)) expect(value, name).toBeUndefined();
    expect(base.filter(({ kind }) => kind === 'Secret')).toEqual([]);
  });

  test('images are those that Compose and the Dockerfiles build', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
      services: Record<string, { image: string }>;
    };
    const built = new Set(Object.values(services).map(({ image }) => image.split(':')[0]));
    for (const file of readdirSync(join(root, 'apps/worker')).filter((name) => name.startsWith('Dockerfile')))
      built.add(read(`apps/worker/${file}`).match(/image\.title="([^"]+)"/)![1]);
    const named = [
      ...workloads.flatMap(({ spec }) => spec.template.spec.containers.map(({ image }: { image: string }) => image)),
      ...kustomizations.flatMap((file) =>
        documentsOf(file).flatMap(({ images = [] }) =>
          images.flatMap(({ name, newName = name }: { name: string; newName?: string }) => [name, newName]),
        ),
      ),
    ];
    expect(named.filter((name) => !built.has(name))).toEqual([]);
  });
});

const kustomize = (() => {
  try {
    execFileSync('kustomize', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!kustomize)(`kustomize build${kustomize ? '' : ' (kustomize is not installed)'}`, () => {
  test.each(kustomizations.map((file) => relative('.', dirname(file))))('%s gives what Kubernetes takes', (path) => {
    const text = execFileSync('kustomize', ['build', join(folder, path)], { encoding: 'utf8' });
    const built = parseAllDocuments(text).map((document) => document.toJS());
    expect(built.length).toBeGreaterThanOrEqual(base.length);
    for (const manifest of built) expect(problems(manifest), manifest.metadata.name).toEqual([]);
  });
});
