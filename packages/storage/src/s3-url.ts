import { type ClipyardError, fieldError } from '@clipyard/contracts';
import { checkBlobPrefix } from './blob-key.js';

/** A place in S3 and how it is reached; what is unset comes from the `AWS_…` environment or the SDK's defaults. */
export interface S3Place {
  readonly bucket: string;
  /** Empty, or ends in a slash: keys lie below it. */
  readonly prefix: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly forcePathStyle?: boolean;
}

const OPTIONS: readonly string[] = ['endpoint', 'region', 'forcePathStyle'];

/**
 * Reads `s3://bucket/prefix?endpoint=…&region=…&forcePathStyle=…`. Throws `config_invalid` naming `field`, without what
 * may be a secret.
 */
export function parseS3Url(url: string, field: string): S3Place {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 's3:')
    throw invalid(field, undefined, 'holds a URL that does not begin with `s3://`', URL_REMEDY);
  // Said without the URL: here people put keys.
  if (parsed.username !== '' || parsed.password !== '')
    throw invalid(field, undefined, 'holds a user or password', CREDENTIALS_REMEDY);
  const bad = (message: string, remedy = URL_REMEDY) => invalid(field, url, message, remedy);
  for (const name of parsed.searchParams.keys()) {
    if (!OPTIONS.includes(name)) throw invalid(field, undefined, `has the unknown option \`${name}\``, OPTIONS_REMEDY);
    if (parsed.searchParams.getAll(name).length > 1) throw bad(`has \`${name}\` twice`);
  }
  if (parsed.hash !== '') throw bad('has a `#` that is not percent-encoded');
  if (parsed.port !== '') throw bad('names a port', 'Name the server by `?endpoint=http://host:port`.');
  const bucket = parsed.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw bad('names no valid bucket');
  const region = parsed.searchParams.get('region') ?? undefined;
  if (region !== undefined && !/^[A-Za-z0-9-]{1,64}$/.test(region)) throw bad('has a `region` that is none');
  const pathStyle = parsed.searchParams.get('forcePathStyle') ?? undefined;
  if (pathStyle !== undefined && pathStyle !== 'true' && pathStyle !== 'false')
    throw bad('has a `forcePathStyle` other than `true` and `false`');
  const endpoint = readEndpoint(parsed.searchParams.get('endpoint') ?? undefined, (message) =>
    invalid(field, undefined, message, URL_REMEDY),
  );
  return {
    bucket,
    prefix: readPrefix(parsed.pathname, bad),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(pathStyle === undefined ? {} : { forcePathStyle: pathStyle === 'true' }),
  };
}

/** The place for people, without how it is reached. */
export const s3Url = ({ bucket, prefix }: S3Place): string =>
  `s3://${bucket}/${prefix.split('/').map(encodeURIComponent).join('/')}`.replace(/\/$/, '');

function readPrefix(pathname: string, bad: (message: string) => ClipyardError): string {
  if (/%2f/i.test(pathname)) throw bad('has a percent-encoded slash');
  let prefix: string;
  try {
    prefix = decodeURIComponent(pathname).replace(/^\/|\/$/g, '');
  } catch {
    throw bad('has a `%` that encodes nothing');
  }
  if (prefix === '') return '';
  try {
    checkBlobPrefix(`${prefix}/`);
  } catch (error) {
    throw bad(`has a prefix that is none: ${(error as ClipyardError).fields[0]?.message}`);
  }
  return `${prefix}/`;
}

function readEndpoint(text: string | undefined, bad: (message: string) => ClipyardError): string | undefined {
  if (text === undefined) return undefined;
  const endpoint = URL.canParse(text) ? new URL(text) : undefined;
  if (endpoint === undefined || !['http:', 'https:'].includes(endpoint.protocol))
    throw bad('has an `endpoint` that is no http: or https: URL');
  if (endpoint.username !== '' || endpoint.search !== '' || endpoint.hash !== '')
    throw bad('has an `endpoint` with more than a host, a port and a path');
  return endpoint.href.replace(/\/$/, '');
}

const invalid = (path: string, value: string | undefined, message: string, remedy: string) =>
  fieldError('config_invalid', { path, message, ...(value === undefined ? {} : { value }), remedy });

const URL_REMEDY =
  'Write `s3://bucket/prefix`, for a server of your own with `?endpoint=https://host:9000&region=us-east-1`.';
const OPTIONS_REMEDY = `Only ${OPTIONS.map((name) => `\`${name}\``).join(', ')} may follow the \`?\`; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`;
const CREDENTIALS_REMEDY =
  'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role instead; what stands in a URL is logged.';
