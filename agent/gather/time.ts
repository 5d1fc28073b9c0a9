/** The host's clock: time, zone, clock source. When it booted is in stat.ts. */
import { readFileSync } from 'node:fs';
import { Binding, HeldSamples } from './binding.ts';
import type { Clock, Gatherer, HostPaths, Metric, SampleSink, SeriesRef, Tick } from './gatherer.ts';
import { listFolder, readSmall } from './source-file.ts';

const TIME: Metric = { name: 'node_time_seconds', type: 'gauge', help: 'System time in seconds since epoch (1970).' };
const ZONE: Metric = { name: 'node_time_zone_offset_seconds', type: 'gauge', help: 'System time zone offset in seconds.' };
const AVAILABLE: Metric = {
  name: 'node_time_clocksource_available_info',
  type: 'gauge',
  help: "Available clocksources read from '/sys/devices/system/clocksource'.",
};
const CURRENT: Metric = {
  name: 'node_time_clocksource_current_info',
  type: 'gauge',
  help: "Current clocksource read from '/sys/devices/system/clocksource'.",
};
/** Zone and clock source change by hand or twice a year. */
const FACTS_MS = 60_000;

/** What `new Date` knows of the zone, so that a test can have another. Seconds east of Greenwich. */
export type ZoneReader = (timeMs: number) => { readonly name: string; readonly offsetSeconds: number };

/** Abbreviations of standard and summer time from the rule that ends a zone file: `CET-1CEST,M3.5.0,M10.5.0/3`, `<-03>3`. */
export function parseZoneRule(
  rule: string,
): { readonly standard: string; readonly standardOffset: number; readonly summer: string } | undefined {
  const parts = /^(?:<([^>]+)>|([A-Za-z]+))([+-]?)(\d+)(?::(\d+))?(?::(\d+))?(?:<([^>]+)>|([A-Za-z]+))?/.exec(rule);
  if (parts === null) return undefined;
  const [, quoted, plain, sign, hours, minutes = '0', seconds = '0', summerQuoted, summerPlain] = parts;
  const west = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  const standard = quoted ?? plain ?? '';
  // POSIX counts west of Greenwich as positive.
  return { standard, standardOffset: sign === '-' ? west : 0 - west, summer: summerQuoted ?? summerPlain ?? standard };
}

export class TimeGatherer implements Gatherer {
  readonly name = 'time';
  readonly intervalMs = 1000;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #zone: ZoneReader;
  readonly #binding = new Binding();
  readonly #facts = new HeldSamples();
  #factsDueMs = 0;
  #time: SeriesRef = -1;

  constructor(paths: HostPaths, clock: Clock, zone: ZoneReader = systemZone) {
    this.#folder = `${paths.sysfs}/devices/system/clocksource`;
    this.#clock = clock;
    this.#zone = zone;
  }

  gather(tick: Tick, sink: SampleSink): void {
    const isStale = this.#binding.isStale(sink);
    if (isStale) this.#time = sink.series(TIME);
    if (isStale || tick.monotonicMs >= this.#factsDueMs) {
      this.#factsDueMs = tick.monotonicMs + FACTS_MS;
      this.#readFacts(tick, sink);
    }
    // Whole milliseconds: more digits are noise that costs five bytes per sample on the wire.
    sink.set(this.#time, Math.round(this.#clock.wallMs()) / 1000);
    this.#facts.set(sink);
  }

  close(): void {}

  #readFacts(tick: Tick, sink: SampleSink): void {
    this.#facts.clear();
    const zone = this.#zone(tick.timeMs);
    this.#facts.add(sink, ZONE, { time_zone: zone.name }, zone.offsetSeconds);
    for (const name of listFolder(this.#folder)) {
      const device = /^clocksource(\d+)$/.exec(name)?.[1];
      if (device === undefined) continue;
      for (const clocksource of words(readSmall(`${this.#folder}/${name}/available_clocksource`))) {
        this.#facts.add(sink, AVAILABLE, { device, clocksource }, 1);
      }
      for (const clocksource of words(readSmall(`${this.#folder}/${name}/current_clocksource`))) {
        this.#facts.add(sink, CURRENT, { device, clocksource }, 1);
      }
    }
  }
}

/** The offset from the engine; the abbreviation from the zone file, as the engine's own are spelled otherwise (GMT+1 for CET). */
function systemZone(timeMs: number): { name: string; offsetSeconds: number } {
  const offsetSeconds = (0 - new Date(timeMs).getTimezoneOffset()) * 60;
  const zone = process.env.TZ;
  const path = zone === undefined || zone === '' ? '/etc/localtime' : `/usr/share/zoneinfo/${zone.replace(/^:/, '')}`;
  const rule = parseZoneRule(lastLine(path));
  if (rule !== undefined) return { name: rule.standardOffset === offsetSeconds ? rule.standard : rule.summer, offsetSeconds };
  return { name: offsetSeconds === 0 ? 'UTC' : '', offsetSeconds };
}

function lastLine(path: string): string {
  try {
    return readFileSync(path, 'latin1').trimEnd().split('\n').at(-1) ?? '';
  } catch {
    return '';
  }
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}
