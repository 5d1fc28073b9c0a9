/** What a process costs in finer grain than a hundredth of a second, for benchmarks of light loads. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpuSeconds } from '../support/processes.ts';

/** CPU seconds (user and system) of the threads that a process has now; where the kernel keeps no such account, as cpuSeconds gives them. */
export function fineCpuSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch {
      return cpuSeconds(pid);
    }
  }
  return nanoseconds > 0 ? nanoseconds / 1e9 : cpuSeconds(pid);
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
