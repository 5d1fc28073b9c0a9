/** What the store counts, as metric families. Pure. */
import { counter, gauge, type MetricFamily } from '../model/metrics.ts';

/** Figures of the store that are gauges; every other number of its statistics only rises. */
const STORE_GAUGES = new Set([
  'headSeries',
  'headBytes',
  'headSamples',
  'undecodedFrames',
  'waitingFrames',
  'walBytes',
  'generations',
  'partitions',
  'recordsBytes',
  'rawBytes',
  'walDiskBytes',
  'commitMsMax',
  'cutTurnMsMax',
]);

/** Every figure of the store under its own name: `cutTurnMsMax` becomes `picket_store_cut_turn_seconds_max`. */
export function storeFamilies(stats: Readonly<Record<string, number>>): MetricFamily[] {
  return Object.entries(stats).map(([key, value]) => {
    const isGauge = STORE_GAUGES.has(key);
    const isTime = /Ms(Max)?$/.test(key);
    const words = key.replace(/Ms(Max)?$/, 'Seconds$1').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const name = `picket_store_${words}${isGauge ? '' : '_total'}`;
    const help = `Of the store: ${words.replaceAll('_', ' ')}.`;
    return (isGauge ? gauge : counter)(name, help, isTime ? value / 1000 : value);
  });
}
