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
    const size = Buffer.byteLength(value);
    this.varint((field << 3) | 2);
    this.varint(size);
    this.reserve(size);
    encoder.encodeInto(value, this.buffer.subarray(this.length));
    this.length += size;
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
    const start = this.length;
    write(this);
    // The length stands in front and is known only now.
    const end = this.length;
    this.varint(end - start);
    const prefix = this.length - end;
    this.reserve(prefix);
    this.buffer.copyWithin(start + prefix, start, end);
    this.length = start;
    this.varint(end - start);
    this.length = end + prefix;
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
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
