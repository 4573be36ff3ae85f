/** Entry of the thread that answers questions about memory (memoryAsker.ts). */
import { parentPort } from 'node:worker_threads';
import { useLanguage } from '../common/language.js';
import { messageOf } from '../common/problem.js';
import { askedHere } from './memoryAsker.js';
import type { ThreadReply, ThreadRequest } from './memoryAsker.js';

useLanguage();
const asked = new Map<number, AbortController>();

async function answerTo(request: Exclude<ThreadRequest, { type: 'leave' }>): Promise<ThreadReply> {
  const { id, question } = request;
  const abort = new AbortController();
  asked.set(id, abort);
  try {
    const answer =
      request.type === 'answer'
        ? await askedHere.answer(question, abort.signal)
        : await askedHere.largest(question, request.at, request.quantity, abort.signal);
    return { id, answer };
  } catch (error) {
    return { id, fault: messageOf(error) };
  } finally {
    asked.delete(id);
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  if (request.type === 'leave') asked.get(request.id)?.abort();
  else void answerTo(request).then((reply) => parentPort?.postMessage(reply));
});
