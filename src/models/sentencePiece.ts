import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/** What a SentencePiece model holds that a tokenizer is made of. */
export interface SentencePieces {
  /** Text and log probability, by id. */
  readonly pieces: readonly (readonly [string, number])[];
  /** 1: unigram, 2: BPE, … (`TrainerSpec.ModelType`). */
  readonly modelType: number;
  readonly unkId: number;
  /** The table by which texts are normalized; empty: they are not. */
  readonly charsmap: Uint8Array;
}

/**
 * Reads a SentencePiece model: a message of Protocol Buffers (sentencepiece_model.proto). Of its fields those are
 * read that {@link SentencePieces} names.
 * @throws ProblemError `tokenizer.form` for bytes that are no such message
 */
export function readSentencePiece(bytes: Uint8Array, file: string): SentencePieces {
  const pieces: (readonly [string, number])[] = [];
  let modelType = 1;
  let unkId = 0;
  let charsmap = new Uint8Array();
  for (const field of fieldsOf(bytes, file)) {
    if (field.bytes === undefined) continue;
    if (field.number === PIECES) pieces.push(readPiece(field.bytes, file));
    if (field.number === TRAINER) {
      for (const { number, value } of fieldsOf(field.bytes, file)) {
        if (number === 3) modelType = value;
        if (number === 40) unkId = value;
      }
    }
    if (field.number === NORMALIZER) {
      for (const { number, bytes: table } of fieldsOf(field.bytes, file)) {
        if (number === 2 && table !== undefined) charsmap = new Uint8Array(table);
      }
    }
  }
  return { pieces, modelType, unkId, charsmap };
}

/** Fields of `ModelProto`. */
const [PIECES, TRAINER, NORMALIZER] = [1, 2, 3];

function readPiece(bytes: Uint8Array, file: string): readonly [string, number] {
  let [text, score] = ['', 0];
  for (const { number, bytes: content, value } of fieldsOf(bytes, file)) {
    if (number === 1 && content !== undefined) text = new TextDecoder().decode(content);
    if (number === 2) score = value;
  }
  return [text, score];
}

interface Field {
  readonly number: number;
  /** A number: a varint, or a float of 32 bits. */
  readonly value: number;
  /** What has a length: texts, bytes, messages. */
  readonly bytes: Uint8Array | undefined;
}

/** The fields of a message, in their order (encoding of Protocol Buffers, wire types 0, 1, 2 and 5). */
function* fieldsOf(bytes: Uint8Array, file: string): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const need = (length: number): void => {
    if (at + length > bytes.length) damaged(file);
  };
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      need(1);
      const byte = bytes[at++]!;
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return result;
    }
    return damaged(file);
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, value: varint(), bytes: undefined };
        break;
      case 1:
        need(8);
        at += 8;
        break;
      case 2: {
        const length = varint();
        need(length);
        at += length;
        yield { number, value: NaN, bytes: bytes.subarray(at - length, at) };
        break;
      }
      case 5:
        need(4);
        at += 4;
        yield { number, value: view.getFloat32(at - 4, true), bytes: undefined };
        break;
      default:
        damaged(file);
    }
  }
}

function damaged(file: string): never {
  return fail({
    code: 'tokenizer.form',
    message: l10n.t`the file is no SentencePiece model, or it is cut off`,
    where: { file },
    mend: l10n.t`Fetch it again from where it came from.`,
  });
}
