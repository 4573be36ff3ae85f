// A process of its own that brings one model: `hubDownload.ts ID`, with the settings of the environment.
import { resolveModel } from '../../src/models/hub/resolveModel.js';

process.stdout.write(await resolveModel(process.argv[2]!, { folder: import.meta.dirname }));
