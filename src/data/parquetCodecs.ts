import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { decompress as zstdDecompress } from 'fzstd';
import { snappyUncompress } from 'hyparquet';
import type { CompressionCodec, Compressors } from 'hyparquet';

/** Biggest page, unpacked: writers make pages of 1 MiB; one that holds a single long text is bigger. */
const MAX_PAGE_BYTES = 256 * 2 ** 20;

/**
 * What unpacks the pages of a Parquet file, each into `length` bytes at most, whatever its content claims. LZ4 and LZO
 * are left out: hardly a data set uses them. Throws plain errors; the reader names the file and the rows.
 */
export const CODECS: Compressors = {
  SNAPPY: (input, length) => {
    const output = room(length);
    snappyUncompress(input, output);
    return output;
  },
  GZIP: (input, length) => (length === 0 ? room(0) : gunzipSync(input, { maxOutputLength: room(length).length })),
  BROTLI: (input, length) =>
    length === 0 ? room(0) : brotliDecompressSync(input, { maxOutputLength: room(length).length }),
  ZSTD: (input, length) => zstdDecompress(input, room(length)),
};

/** Codecs that are read. */
export const KNOWN_CODECS: ReadonlySet<CompressionCodec | undefined> = new Set<CompressionCodec>([
  'UNCOMPRESSED',
  'SNAPPY',
  'GZIP',
  'BROTLI',
  'ZSTD',
]);

/** Unpacks one page. */
export function unpack(codec: CompressionCodec, input: Uint8Array, length: number): Uint8Array {
  const codecOf = CODECS[codec];
  return codecOf === undefined ? input : codecOf(input, length);
}

function room(length: number): Uint8Array {
  if (!(length >= 0 && length <= MAX_PAGE_BYTES)) {
    throw new Error(`a page of ${length} bytes; at most ${MAX_PAGE_BYTES} are read`);
  }
  return new Uint8Array(length);
}
