/** What is known of a host beside its charts: facts that seldom change, and the values of this moment. */
import type { ComponentChildren, JSX } from 'preact';
import { clock } from './clock.ts';
import type { Host } from './contract.ts';
import { formatBytes, formatDuration, formatOffset, formatPercent, formatUtc, formatValue, NOTHING } from './format.ts';
import { Glyph } from './icons.tsx';
import { Meter } from './status.tsx';

/** Above this the host's clock is worth a colour: samples of two hosts no longer lie side by side. */
const OFFSET_HIGH_MS = 1000;
/** A live agent holds what it has not sent yet, some kilobytes; above this it is a backlog. */
const BACKLOG_HIGH_BYTES = 256 * 1024;

export function Facts({ host }: { readonly host: Host | undefined }): JSX.Element {
  void clock.tick.value;
  const boot = host?.bootTimeMs ?? null;
  const offset = host?.clockOffsetMs ?? null;
  const backlog = host?.link?.backlogBytes ?? null;
  return (
    <dl class="facts">
      <Fact name="System">{host?.os ?? NOTHING}</Fact>
      <Fact name="Kernel">{[host?.kernel, host?.arch].filter(Boolean).join(' ') || NOTHING}</Fact>
      <Fact name="CPUs">{host?.cpuCount ?? NOTHING}</Fact>
      <Fact name="Up for" {...(boot === null ? {} : { title: `since ${formatUtc(boot)}` })}>
        {boot === null ? NOTHING : formatDuration(clock.nowMs() - boot)}
      </Fact>
      <Fact name="Agent">{host?.version ?? NOTHING}</Fact>
      <Fact name="Clock" warn={offset !== null && Math.abs(offset) > OFFSET_HIGH_MS} title="The host's clock against the collector's">
        {formatOffset(offset)}
      </Fact>
      <Fact name="Backlog" warn={backlog !== null && backlog > BACKLOG_HIGH_BYTES} title="What the agent holds and has not delivered yet">
        {backlogWords(host)}
      </Fact>
      <Fact name="Link">{linkWords(host)}</Fact>
    </dl>
  );
}

type FactProps = { readonly name: string; readonly warn?: boolean; readonly title?: string; readonly children: ComponentChildren };

function Fact({ name, warn, title, children }: FactProps): JSX.Element {
  return (
    <div data-warn={warn === true} {...(title === undefined ? {} : { title })}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The five values that say how a host is. Grey with their age when they are not of this moment. */
export function Readings({ host }: { readonly host: Host | undefined }): JSX.Element {
  const values = host?.values ?? null;
  const memory = values?.memoryBytes ?? null;
  return (
    <div class="readings" data-stale={host !== undefined && host.status !== 'up'}>
      <Reading
        name="CPU"
        value={formatPercent(values?.cpuPercent)}
        note={host?.cpuCount ? `of ${host.cpuCount} CPUs` : ''}
        percent={values?.cpuPercent ?? null}
      />
      <Reading
        name="Memory"
        value={formatPercent(values?.memoryPercent)}
        note={memory === null ? '' : `${formatBytes(memory)} of ${formatBytes(values?.memoryTotalBytes)}`}
        percent={values?.memoryPercent ?? null}
      />
      <Reading
        name="Fullest disk"
        value={formatPercent(values?.diskPercent)}
        note={values?.diskMount ?? ''}
        percent={values?.diskPercent ?? null}
      />
      <Reading name="Load" value={formatValue(values?.load1, 'load')} note="1 minute" percent={loadPercent(host)} />
      <div class="reading">
        <span class="reading-name">Network</span>
        <span class="flow">
          <Glyph name="down" />
          <span class="off-screen">received</span>
          <b data-testid="reading-received">{formatValue(values?.networkReceiveBytesPerSecond, 'bytes_per_second')}</b>
        </span>
        <span class="flow">
          <Glyph name="up" />
          <span class="off-screen">sent</span>
          <b>{formatValue(values?.networkTransmitBytesPerSecond, 'bytes_per_second')}</b>
        </span>
      </div>
    </div>
  );
}

type ReadingProps = { readonly name: string; readonly value: string; readonly note: string; readonly percent: number | null };

function Reading({ name, value, note, percent }: ReadingProps): JSX.Element {
  return (
    <div class="reading">
      <span class="reading-name">{name}</span>
      <b class="reading-value">{value}</b>
      <span class="reading-note">{note}</span>
      <Meter percent={percent} />
    </div>
  );
}

/** A load of one per CPU is a full meter. */
function loadPercent(host: Host | undefined): number | null {
  const load = host?.values?.load1 ?? null;
  return load === null || !host?.cpuCount ? null : (load / host.cpuCount) * 100;
}

function backlogWords(host: Host | undefined): string {
  const bytes = host?.link?.backlogBytes ?? null;
  if (bytes === null) return NOTHING;
  const oldest = host?.link?.backlogOldestMs ?? null;
  return bytes <= BACKLOG_HIGH_BYTES || oldest === null
    ? formatBytes(bytes)
    : `${formatBytes(bytes)}, from ${formatDuration(clock.nowMs() - oldest)} ago`;
}

function linkWords(host: Host | undefined): string {
  if (!host?.link) return NOTHING;
  const since = host.link.since === null ? NaN : Date.parse(host.link.since);
  const age = Number.isFinite(since) ? ` for ${formatDuration(clock.nowMs() - since)}` : '';
  return `${host.link.connected ? 'connected' : 'not connected'}${age}`;
}
