/** The kernel and the node's name. What the distribution calls itself is in os.ts. */
import os from 'node:os';
import { Binding, HeldSamples } from './binding.ts';
import type { Gatherer, HostPaths, Metric, SampleSink, Tick } from './gatherer.ts';
import { readSmall } from './source-file.ts';

const INFO: Metric = { name: 'node_uname_info', type: 'gauge', help: 'Labeled system information as provided by the uname system call.' };

export class UnameGatherer implements Gatherer {
  readonly name = 'uname';
  readonly intervalMs = 60_000;
  readonly #paths: HostPaths;
  readonly #binding = new Binding();
  readonly #facts = new HeldSamples();
  #seen = '';

  constructor(paths: HostPaths) {
    this.#paths = paths;
  }

  gather(_tick: Tick, sink: SampleSink): void {
    const labels = {
      sysname: os.type(),
      release: os.release(),
      version: os.version(),
      machine: os.machine(),
      nodename: os.hostname(),
      domainname: readSmall(`${this.#paths.procfs}/sys/kernel/domainname`) ?? '(none)',
    };
    // A host can be renamed while it runs.
    const now = JSON.stringify(labels);
    if (this.#binding.isStale(sink) || now !== this.#seen) {
      this.#seen = now;
      this.#facts.clear();
      this.#facts.add(sink, INFO, labels, 1);
    }
    this.#facts.set(sink);
  }

  close(): void {}
}
