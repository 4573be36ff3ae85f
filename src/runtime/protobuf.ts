const encoder = new TextEncoder();

/**
 * Writes Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding), as much of it as an ONNX
 * model needs: varints, 32-bit floats and length-delimited fields. One buffer that grows: a model has ten thousands
 * of small fields.
 */
export class ProtobufWriter {
  private buffer = new Uint8Array(1024);
  private length = 0;

  /** A non-negative or negative integer field (negative ones as 64-bit two's complement). */
  integer(field: number, value: number | bigint): void {
    this.varint(field << 3);
    if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) this.varint(value);
    else this.bigVarint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): void {
    this.varint((field << 3) | 5);
    this.reserve(4);
    new DataView(this.buffer.buffer).setFloat32(this.length, value, true);
    this.length += 4;
  }

  text(field: number, value: string): void {
    this.varint((field << 3) | 2);
    // UTF-8 takes at most three bytes for one of UTF-16's units.
    this.reserve(10 + 3 * value.length);
    const start = this.length + 1;
    this.closeLength(
      start,
      this.ascii(value, start) ?? encoder.encodeInto(value, this.buffer.subarray(start)).written,
    );
  }

  bytes(field: number, value: Uint8Array): void {
    this.varint((field << 3) | 2);
    this.varint(value.length);
    this.append(value);
  }

  /** Fields that are written already. */
  append(fields: Uint8Array): void {
    this.reserve(fields.length);
    this.buffer.set(fields, this.length);
    this.length += fields.length;
  }

  /** A nested message, written by `write`. */
  message(field: number, write: (nested: ProtobufWriter) => void): void {
    this.varint((field << 3) | 2);
    this.reserve(1);
    const start = ++this.length;
    write(this);
    this.closeLength(start, this.length - start);
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  /** Writes the length of what stands from `start` on. One byte is left for it in front, and most need no more. */
  private closeLength(start: number, size: number): void {
    this.length = start + size;
    this.reserve(10);
    let prefix = 1;
    for (let rest = size; rest > 0x7f; rest = Math.floor(rest / 0x80)) prefix++;
    if (prefix > 1) this.buffer.copyWithin(start - 1 + prefix, start, start + size);
    this.length = start - 1;
    this.varint(size);
    this.length += size;
  }

  /** Writes names of ASCII, which nearly all are, without a call out of JavaScript; undefined for others. */
  private ascii(value: string, start: number): number | undefined {
    const { buffer } = this;
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (code > 0x7f) return undefined;
      buffer[start + at] = code;
    }
    return value.length;
  }

  private varint(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.length++] = rest;
  }

  private bigVarint(value: bigint): void {
    this.reserve(10);
    let rest = value;
    while (rest > 0x7fn) {
      this.buffer[this.length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.length++] = Number(rest);
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.length + bytes));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}
