import { ClipyardError, type ErrorCode, fieldError } from '@clipyard/contracts';
import { notFound } from './blob-errors.js';
import { type S3Place, s3Url } from './s3-url.js';

/** What was tried, for the message. */
export interface S3Attempt {
  readonly place: S3Place;
  /** Where the place is configured, such as `STORAGE_URL`. */
  readonly field: string;
  readonly what: 'opened' | 'written' | 'read' | 'listed' | 'deleted';
  /** Below the place's prefix. */
  readonly key?: string;
}

/** The parts of the SDK's errors that are read. */
interface ServiceError {
  readonly name?: string;
  readonly message?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const DENIED: readonly string[] = [
  'AccessDenied',
  'AccountProblem',
  'AllAccessDisabled',
  'ExpiredToken',
  'Forbidden',
  'InvalidAccessKeyId',
  'InvalidSecurity',
  'InvalidToken',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  // versitygw's name for an unknown key id
  'XAdminUserNotFound',
  'CredentialsProviderError',
  'ProviderError',
];
const UNREACHABLE: readonly string[] = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'EPROTO',
  'ETIMEDOUT',
  'TimeoutError',
];
const TLS = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/**
 * The coded error of what the SDK threw. The SDK's own error is not kept as the cause: it carries the request, and what
 * the server said of its signature.
 */
export function codedS3Error(error: unknown, attempt: S3Attempt): ClipyardError {
  if (error instanceof ClipyardError) return error;
  const { place, field, what, key } = attempt;
  const failure = error as ServiceError;
  const status = failure.$metadata?.httpStatusCode;
  const name = failure.Code ?? failure.name ?? 'Error';
  const url = s3Url(place);
  const subject = key === undefined ? url : `\`${key}\` in ${url}`;
  const answered = `${name}${status === undefined ? '' : `, HTTP ${status}`}`;
  const coded = (code: ErrorCode, message: string, remedy: string) =>
    fieldError(code, { path: field, message, value: url, remedy });

  if (name === 'NoSuchBucket') {
    return coded(
      'storage_bucket_missing',
      `there is no bucket \`${place.bucket}\` at ${endpointOf(place)}`,
      'Create it, or correct the name.',
    );
  }
  const region = failure.Region ?? failure.$response?.headers?.['x-amz-bucket-region'];
  if (isWrongRegion(name, status, failure.message)) {
    return coded(
      'storage_region_wrong',
      `${subject} could not be ${what}: the bucket lies in another region${region === undefined ? '' : `, ${region}`} (${answered})`,
      `Add \`?region=${region ?? '…'}\` to the URL, or set AWS_REGION.`,
    );
  }
  if (DENIED.includes(name) || status === 401 || status === 403) {
    return coded('storage_denied', `${subject} may not be ${what} (${answered})`, deniedRemedy(name));
  }
  if (name === 'NoSuchUpload') {
    return coded('storage_failed', `the unfinished upload of ${subject} is gone`, 'Write it again.');
  }
  if (key !== undefined && (name === 'NoSuchKey' || name === 'NotFound' || status === 404)) return notFound(key, url);
  if (status === 507) {
    return coded('disk_full', `no space left for ${subject}`, 'Free space, or lower checkpoint.keepLast.');
  }
  if (name === 'Error' && /region is missing/i.test(failure.message ?? '')) {
    return coded('config_invalid', 'names no region', 'Add `?region=…` to the URL, or set AWS_REGION.');
  }
  if (status === undefined && isUnreachable(failure)) {
    return coded(
      'storage_unreachable',
      `${endpointOf(place)} does not answer (${failure.code ?? name}), so ${subject} could not be ${what}`,
      'Check that the server runs, and the `endpoint` of the URL.',
    );
  }
  return coded(
    status === 503 || status === 429 ? 'storage_unreachable' : 'storage_failed',
    `${subject} could not be ${what} (${answered}: ${(failure.message ?? '').slice(0, MAX_MESSAGE_CHARS)})`,
    'See the log of the S3 server.',
  );
}

/** Longest part of a server's message that is repeated, characters. */
const MAX_MESSAGE_CHARS = 200;

function isWrongRegion(name: string, status: number | undefined, message = ''): boolean {
  if (['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'].includes(name))
    return name !== 'AuthorizationHeaderMalformed' || /region/i.test(message);
  return status === 301;
}

function isUnreachable({ code, name }: ServiceError): boolean {
  return [code, name].some((text) => text !== undefined && (UNREACHABLE.includes(text) || TLS.test(text)));
}

function deniedRemedy(name: string): string {
  if (name === 'CredentialsProviderError' || name === 'ProviderError')
    return 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the host a role.';
  if (name === 'ExpiredToken' || name === 'TokenRefreshRequired') return 'Renew the session token.';
  return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may get, put, delete and list here.';
}

const endpointOf = ({ endpoint, region }: S3Place): string =>
  endpoint ?? (region === undefined ? 'the S3 endpoint' : `S3 in ${region}`);
