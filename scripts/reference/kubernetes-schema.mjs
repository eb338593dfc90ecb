// Writes scripts/fixtures/kubernetes.schema.json: what the Kubernetes API says of the kinds that examples/kubernetes uses,
// as one JSON schema in which unknown fields are errors. Usage:
//   go mod download k8s.io/kubernetes@v1.34.2
//   node scripts/reference/kubernetes-schema.mjs "$(go env GOMODCACHE)/k8s.io/kubernetes@v1.34.2/api/openapi-spec/swagger.json"
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const KINDS = {
  'v1/Namespace': 'io.k8s.api.core.v1.Namespace',
  'v1/ServiceAccount': 'io.k8s.api.core.v1.ServiceAccount',
  'v1/ConfigMap': 'io.k8s.api.core.v1.ConfigMap',
  'v1/Secret': 'io.k8s.api.core.v1.Secret',
  'v1/Service': 'io.k8s.api.core.v1.Service',
  'v1/PersistentVolumeClaim': 'io.k8s.api.core.v1.PersistentVolumeClaim',
  'apps/v1/Deployment': 'io.k8s.api.apps.v1.Deployment',
  'apps/v1/StatefulSet': 'io.k8s.api.apps.v1.StatefulSet',
  'policy/v1/PodDisruptionBudget': 'io.k8s.api.policy.v1.PodDisruptionBudget',
  'networking.k8s.io/v1/NetworkPolicy': 'io.k8s.api.networking.v1.NetworkPolicy',
  'networking.k8s.io/v1/Ingress': 'io.k8s.api.networking.v1.Ingress',
};
const output = fileURLToPath(new URL('../fixtures/kubernetes.schema.json', import.meta.url));
const { definitions } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const version = process.argv[2].match(/@(v[\d.]+)/)?.[1];
if (version === undefined) throw new Error('the path does not tell which version of Kubernetes it is');
const kept = {};

const nameOf = (ref) => ref.slice('#/definitions/'.length);
/** The server writes it, and no manifest does. */
const SERVER_SIDE = new Set(['status', 'managedFields']);

function keep(name) {
  if (name in kept) return;
  kept[name] = {};
  kept[name] = convert(definitions[name]);
}

function convert(schema) {
  if (schema.$ref !== undefined) {
    keep(nameOf(schema.$ref));
    return { $ref: schema.$ref };
  }
  if (schema.format === 'int-or-string') return { type: ['integer', 'string'] };
  const { type, enum: values, required, items, properties, additionalProperties } = schema;
  return {
    ...(type === undefined ? {} : { type }),
    ...(values === undefined ? {} : { enum: values }),
    ...(required === undefined ? {} : { required }),
    ...(items === undefined ? {} : { items: convert(items) }),
    ...(properties === undefined
      ? additionalProperties === undefined
        ? {}
        : { additionalProperties: convert(additionalProperties) }
      : {
          properties: Object.fromEntries(
            Object.entries(properties)
              .filter(([name]) => !SERVER_SIDE.has(name))
              .map(([name, property]) => [name, convert(property)]),
          ),
          additionalProperties: false,
        }),
  };
}

for (const name of Object.values(KINDS)) keep(name);
const kinds = Object.fromEntries(
  Object.entries(KINDS).map(([kind, name]) => [kind, { $ref: `#/definitions/${name}` }]),
);
const sorted = Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
// A resource.Quantity is a string in the document, and a number is read as one.
sorted['io.k8s.apimachinery.pkg.api.resource.Quantity'] = { type: ['string', 'number'] };
writeFileSync(output, `${JSON.stringify({ title: `Kubernetes ${version}`, kinds, definitions: sorted })}\n`);
