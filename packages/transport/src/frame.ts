import { ClipyardError, LIMITS } from '@clipyard/contracts';

/**
 * A frame: a header of three little-endian u32 (channel, bytes of this frame's payload, bytes of the whole message),
 * then the payload. A message is one or more frames of its channel; frames of different channels may alternate.
 */
export const FRAME_HEADER_BYTES = 12;

export interface FrameHeader {
  readonly channel: number;
  readonly frameBytes: number;
  readonly messageBytes: number;
}

export function writeFrameHeader(target: Buffer, { channel, frameBytes, messageBytes }: FrameHeader): void {
  target.writeUInt32LE(channel, 0);
  target.writeUInt32LE(frameBytes, 4);
  target.writeUInt32LE(messageBytes, 8);
}

/** Throws `frame_invalid` when a length is beyond its limit. */
export function readFrameHeader(source: Buffer): FrameHeader {
  const header = {
    channel: source.readUInt32LE(0),
    frameBytes: source.readUInt32LE(4),
    messageBytes: source.readUInt32LE(8),
  };
  const { frameBytes, messageBytes } = header;
  if (frameBytes > LIMITS.frameBytes || messageBytes > LIMITS.messageBytes || frameBytes > messageBytes) {
    throw new ClipyardError('frame_invalid', `A frame claims ${frameBytes} bytes of a message of ${messageBytes}`);
  }
  if (frameBytes === 0 && messageBytes > 0) throw new ClipyardError('frame_invalid', 'A frame is empty');
  return header;
}
