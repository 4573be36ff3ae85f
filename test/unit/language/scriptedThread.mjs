// Stands for the thread that plans memory: does what a question's text says.
import { parentPort } from 'node:worker_threads';

parentPort.on('message', (request) => {
  const { id, type, question } = request;
  if (type === 'leave') parentPort.postMessage({ id: 'left', answer: id });
  else if (question.text === 'end') process.exit(7);
  else if (question.text === 'fault') parentPort.postMessage({ id, fault: 'no such thing' });
  else if (question.text !== 'never') parentPort.postMessage({ id, answer: request });
});
