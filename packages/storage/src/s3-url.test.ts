import { describe, expect, it } from 'vitest';
import { parseS3Url, s3Url } from './s3-url.js';

const parse = (url: string) => parseS3Url(url, 'STORAGE_URL');

describe('parseS3Url', () => {
  it('reads bucket, prefix and how they are reached', () => {
    expect(parse('s3://bucket')).toEqual({ bucket: 'bucket', prefix: '' });
    expect(parse('s3://a.b-c/x/y%20z/')).toEqual({ bucket: 'a.b-c', prefix: 'x/y z/' });
    expect(parse('s3://bucket/p?endpoint=http://10.0.0.1:9000/&region=eu-west-1&forcePathStyle=false')).toEqual({
      bucket: 'bucket',
      prefix: 'p/',
      endpoint: 'http://10.0.0.1:9000',
      region: 'eu-west-1',
      forcePathStyle: false,
    });
    expect(s3Url(parse('s3://bucket/x/y%20z?region=r'))).toBe('s3://bucket/x/y%20z');
    expect(s3Url(parse('s3://bucket/'))).toBe('s3://bucket');
  });

  it.each([
    's3:bucket',
    's3://',
    's3://B',
    's3://bucket:9000/x',
    's3://bucket/a%2Fb',
    's3://bucket/a//b',
    's3://bucket/%',
    's3://bucket/x#y',
    's3://bucket?region=a&region=b',
    's3://bucket?region=a b',
    's3://bucket?endpoint=host:9000',
    's3://bucket?endpoint=http://user:pw@host',
    's3://bucket?forcePathStyle=yes',
  ])('refuses %j with the field and a remedy', (url) => {
    expect(() => parse(url)).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        fields: [expect.objectContaining({ path: 'STORAGE_URL', remedy: expect.any(String) })],
      }),
    );
  });

  it.each([
    's3://AKIA:hunter2@bucket/x',
    's3://bucket?secretAccessKey=hunter2',
    's3://bucket?endpoint=http://u:hunter2@host',
  ])('does not repeat the secret of %j', (url) => {
    let failure: unknown;
    try {
      parse(url);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({ code: 'config_invalid' });
    expect(JSON.stringify([(failure as Error).message, failure])).not.toContain('hunter2');
  });
});
