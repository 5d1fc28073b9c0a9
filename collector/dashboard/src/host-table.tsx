/** The table of hosts, three or ten thousand: only the rows in sight are in the document. */
import type { JSX } from 'preact';
import { signal, useComputed, useSignal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Host } from './contract.ts';
import { filterHosts, orderHosts } from './fleet.ts';
import type { Beat, Filter, Order, SortKey } from './fleet.ts';
import { formatBytes, formatPercent, formatValue, NOTHING } from './format.ts';
import type { HostsWatch } from './hosts-watch.ts';
import { Glyph } from './icons.tsx';
import { formatRoute, RANGE_DEFAULT_MS } from './route.ts';
import { Sparkline } from './sparkline.tsx';
import { Age, Meter, sinceWords, StatusBadge } from './status.tsx';

/** Heights in CSS pixels; the style sheet sets the same (--row). Narrow screens show a row as a card. */
const ROW_WIDE = 48;
const ROW_NARROW = 116;
const NARROW = '(max-width: 760px)';
/** Rows beyond each edge of the screen, so that Tab and quick scrolling find something. */
const OVERSCAN = 8;
/** Rows sorted by a value that moves each second would jump under the finger; they are put in order this often. */
const REORDER_MS = 5000;

const COLUMNS: readonly { readonly key: SortKey; readonly label: string; readonly numeric: boolean }[] = [
  { key: 'status', label: 'Status', numeric: false },
  { key: 'name', label: 'Host', numeric: false },
  { key: 'cpu', label: 'CPU', numeric: true },
  { key: 'memory', label: 'Memory', numeric: true },
  { key: 'disk', label: 'Fullest disk', numeric: true },
  { key: 'load', label: 'Load', numeric: true },
  { key: 'network', label: 'Network', numeric: true },
  { key: 'age', label: 'Last data', numeric: true },
];

const order = signal<Order>({ key: 'status', descending: false });

export function HostTable({ watch, filter }: { readonly watch: HostsWatch; readonly filter: ReadonlySignal<Filter> }): JSX.Element {
  const table = useRef<HTMLTableElement>(null);
  const view = useView(table);
  const names = useOrderedNames(watch, filter, view);
  void watch.revision.value;
  const { first, last, rowHeight } = view.value;
  const shown = names.value.slice(first, last);
  return (
    <>
      <SortMenu />
      <table ref={table} class="hosts" role="table" aria-label="Hosts" aria-rowcount={names.value.length + 1}>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {COLUMNS.map((column) => (
              <HeadCell key={column.key} sort={column.key} label={column.label} numeric={column.numeric} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          <Spacer rows={first} rowHeight={rowHeight} />
          {shown.map((name, i) => {
            const host = watch.fleet.get(name);
            return host && <Row key={name} host={host} pulse={watch.fleet.pulse(name)} index={first + i + 2} />;
          })}
          <Spacer rows={Math.max(0, names.value.length - last)} rowHeight={rowHeight} />
        </tbody>
      </table>
      {names.value.length === 0 && <p class="no-match">No host matches this filter.</p>}
    </>
  );
}

type ViewPort = { readonly first: number; readonly last: number; readonly rowHeight: number; readonly hovered: boolean };

/** Which rows the screen shows now. */
function useView(table: { readonly current: HTMLTableElement | null }): ReadonlySignal<ViewPort> {
  const view = useSignal<ViewPort>({ first: 0, last: 40, rowHeight: ROW_WIDE, hovered: false });
  useEffect(() => {
    const narrow = matchMedia(NARROW);
    const measure = (): void => {
      const body = table.current?.tBodies[0];
      if (!body) return;
      const rowHeight = narrow.matches ? ROW_NARROW : ROW_WIDE;
      const above = -body.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / rowHeight) - OVERSCAN);
      const last = Math.ceil((above + innerHeight) / rowHeight) + OVERSCAN;
      const before = view.value;
      if (first === before.first && last === before.last && rowHeight === before.rowHeight) return;
      view.value = { ...before, first, last: Math.max(last, first + OVERSCAN), rowHeight };
    };
    const hover = (event: PointerEvent): void => {
      view.value = { ...view.value, hovered: event.type === 'pointerenter' && event.pointerType === 'mouse' };
    };
    const element = table.current;
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    element?.addEventListener('pointerenter', hover);
    element?.addEventListener('pointerleave', hover);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
      element?.removeEventListener('pointerenter', hover);
      element?.removeEventListener('pointerleave', hover);
    };
  }, []);
  return view;
}

/** Names in order; made anew when the filter, the order or a status changes, and now and then for values that move, unless a pointer rests on the rows. */
function useOrderedNames(
  watch: HostsWatch,
  filter: ReadonlySignal<Filter>,
  view: ReadonlySignal<ViewPort>,
): ReadonlySignal<readonly string[]> {
  const beat = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => {
      const moving = order.value.key !== 'status' && order.value.key !== 'name';
      if (moving && !view.value.hovered) beat.value++;
    }, REORDER_MS);
    return () => clearInterval(timer);
  }, []);
  return useComputed(() => {
    void watch.membership.value;
    void beat.value;
    return orderHosts(filterHosts(watch.fleet.all(), filter.value), order.value).map((host) => host.name);
  });
}

type HeadCellProps = { readonly sort: SortKey; readonly label: string; readonly numeric: boolean };

function HeadCell({ sort, label, numeric }: HeadCellProps): JSX.Element {
  const active = order.value.key === sort;
  return (
    <th
      role="columnheader"
      class={`column-${sort} ${numeric ? 'numeric' : ''}`}
      aria-sort={active ? (order.value.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" onClick={() => sortBy(sort, numeric)}>
        {label}
        <span class="sort-sign">{active && <Glyph name={order.value.descending ? 'down' : 'up'} />}</span>
      </button>
    </th>
  );
}

/** Numbers begin with the largest, words with the first; choosing the same again turns it. */
function sortBy(key: SortKey, numeric: boolean): void {
  order.value = { key, descending: order.value.key === key ? !order.value.descending : numeric };
}

/** Narrow screens have no head to press. */
function SortMenu(): JSX.Element {
  return (
    <div class="sort-menu">
      <label>
        Sort by{' '}
        <select
          value={order.value.key}
          onChange={(event) => {
            const column = COLUMNS.find((one) => one.key === event.currentTarget.value);
            if (column) order.value = { key: column.key, descending: column.numeric };
          }}
        >
          {COLUMNS.map((column) => (
            <option key={column.key} value={column.key}>
              {column.label}
            </option>
          ))}
        </select>
      </label>
      <button
        type="button"
        aria-pressed={order.value.descending}
        onClick={() => (order.value = { ...order.value, descending: !order.value.descending })}
      >
        <Glyph name={order.value.descending ? 'down' : 'up'} />
        <span class="off-screen">Largest first</span>
      </button>
    </div>
  );
}

type RowProps = { readonly host: Host; readonly pulse: readonly Beat[]; readonly index: number };

function Row({ host, pulse, index }: RowProps): JSX.Element {
  const values = host.values;
  const href = formatRoute({ page: 'host', name: host.name, view: { kind: 'live', rangeMs: RANGE_DEFAULT_MS } });
  return (
    <tr role="row" aria-rowindex={index} data-host={host.name} data-status={host.status}>
      <td role="cell" class="status-cell">
        <StatusBadge status={host.status} />
        {host.status !== 'up' && <span class="since">{sinceWords(host.statusSince)}</span>}
      </td>
      <td role="cell" class="name">
        <a href={href}>{host.name}</a>
        <span class="system">{systemWords(host)}</span>
      </td>
      <td role="cell" class="cpu numeric" data-label="CPU">
        <Sparkline pulse={pulse} />
        <b>{formatPercent(values?.cpuPercent)}</b>
      </td>
      <td role="cell" class="memory numeric" data-label="Memory" title={memoryWords(host)}>
        <Meter percent={values?.memoryPercent ?? null} />
        <b>{formatPercent(values?.memoryPercent)}</b>
      </td>
      <td role="cell" class="disk numeric" data-label="Disk" title={values?.diskMount ?? ''}>
        <Meter percent={values?.diskPercent ?? null} />
        <b>{formatPercent(values?.diskPercent)}</b>
      </td>
      <td role="cell" class="load numeric" data-label="Load">
        <b>{formatValue(values?.load1, 'load')}</b>
      </td>
      <td role="cell" class="network numeric" data-label="Network">
        <NetworkValue sign="down" word="received" value={values?.networkReceiveBytesPerSecond ?? null} />
        <NetworkValue sign="up" word="sent" value={values?.networkTransmitBytesPerSecond ?? null} />
      </td>
      <td role="cell" class="age-cell numeric" data-label="Last data">
        <Age ms={host.lastSampleMs} />
      </td>
    </tr>
  );
}

type NetworkValueProps = { readonly sign: 'down' | 'up'; readonly word: string; readonly value: number | null };

function NetworkValue({ sign, word, value }: NetworkValueProps): JSX.Element {
  return (
    <span class="flow">
      <Glyph name={sign} />
      <span class="off-screen">{word}</span>
      <b>{formatValue(value, 'bytes_per_second')}</b>
    </span>
  );
}

function systemWords(host: Host): string {
  return [host.os, host.arch].filter(Boolean).join(' · ') || NOTHING;
}

function memoryWords(host: Host): string {
  const bytes = host.values?.memoryBytes ?? null;
  return bytes === null ? '' : `${formatBytes(bytes)} of ${formatBytes(host.values?.memoryTotalBytes)}`;
}

function Spacer({ rows, rowHeight }: { readonly rows: number; readonly rowHeight: number }): JSX.Element | null {
  return rows === 0 ? null : (
    <tr class="spacer" aria-hidden="true">
      <td style={{ height: `${rows * rowHeight}px` }} />
    </tr>
  );
}
