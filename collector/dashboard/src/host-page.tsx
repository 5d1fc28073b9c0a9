/** One host: facts, live values, the fence of coverage, and its charts at one second. */
import type { JSX } from 'preact';
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { ConnectionBanner, LiveSign } from './banner.tsx';
import { ChartCard } from './chart.tsx';
import { clock } from './clock.ts';
import { Facts, Readings } from './facts.tsx';
import { Fence, GapList } from './fence.tsx';
import { formatPercent } from './format.ts';
import { HostWatch } from './host-watch.ts';
import { Glyph } from './icons.tsx';
import { go } from './location.ts';
import { Failure, Skeleton } from './states.tsx';
import { Age, sinceWords, StatusBadge } from './status.tsx';
import { Toolbar } from './toolbar.tsx';
import type { View } from './route.ts';

export function HostPage({ name, view }: { readonly name: string; readonly view: View }): JSX.Element {
  const watch = useMemo(() => new HostWatch(name), [name]);
  const cursorMs = useSignal<number | undefined>(undefined);
  const viewKey = view.kind === 'live' ? `${view.rangeMs}` : `${view.fromMs}-${view.toMs}`;
  useEffect(() => () => watch.close(), [watch]);
  useEffect(() => void watch.show(view), [watch, viewKey]);
  // subscribe() calls back untracked: tick() reads and writes the same signals, and an effect would chase itself.
  useEffect(() => clock.tick.subscribe(() => watch.tick()), [watch]);
  useTitle(watch);

  const phase = watch.phase.value;
  const zoom = (fromMs: number, toMs: number): void => go({ page: 'host', name, view: { kind: 'fixed', fromMs, toMs } });
  return (
    <main class="host" data-connection={watch.connection.state.value.kind}>
      <ConnectionBanner connection={watch.connection} />
      <Head watch={watch} />
      {phase.kind === 'failed' ? (
        <Failure
          title="The charts cannot be shown"
          sentence={phase.sentence}
          code={phase.code}
          onRetry={() => void watch.show(view)}
          elsewhere={{ href: '#/', words: 'All hosts' }}
        />
      ) : (
        <>
          <Readings host={watch.host.value} />
          <Toolbar watch={watch} view={view} />
          {phase.kind === 'loading' ? (
            <Skeleton rows={4} label={`Loading the charts of ${name}`} />
          ) : (
            <>
              <Fence watch={watch} />
              <Charts watch={watch} cursorMs={cursorMs} onZoom={zoom} />
            </>
          )}
        </>
      )}
    </main>
  );
}

function Head({ watch }: { readonly watch: HostWatch }): JSX.Element {
  const host = watch.host.value;
  return (
    <header class="host-head">
      <a class="back" href="#/">
        <Glyph name="left" /> Hosts
      </a>
      <div class="view-head">
        <h1>{watch.name}</h1>
        <p class="summary" role="status">
          {host && <StatusBadge status={host.status} />}
          {host && host.status !== 'up' && <span class="since">for {sinceWords(host.statusSince)}</span>}
        </p>
        {host && (
          <p class="freshness">
            last data <Age ms={host.lastSampleMs} />
          </p>
        )}
        {watch.phase.value.kind !== 'failed' && <LiveSign connection={watch.connection} paused={watch.pausedAtMs.value !== undefined} />}
      </div>
      {watch.phase.value.kind !== 'failed' && <Facts host={host} />}
    </header>
  );
}

type ChartsProps = {
  readonly watch: HostWatch;
  readonly cursorMs: ReturnType<typeof useSignal<number | undefined>>;
  readonly onZoom: (fromMs: number, toMs: number) => void;
};

function Charts({ watch, cursorMs, onZoom }: ChartsProps): JSX.Element {
  const charts = watch.timeline.value?.charts ?? [];
  return (
    <div class="charts" aria-busy={watch.busy.value}>
      {charts.length === 0 && <p class="no-match">There is no data of this host in this window.</p>}
      {charts.map((chart) => (
        <ChartCard key={chart.id} id={chart.id} watch={watch} cursorMs={cursorMs} onZoom={onZoom} />
      ))}
      <GapList watch={watch} onShow={onZoom} />
    </div>
  );
}

function useTitle(watch: HostWatch): void {
  const host = watch.host.value;
  const state = host === undefined ? '' : host.status === 'up' ? ` · ${formatPercent(host.values?.cpuPercent)}` : ` · ${host.status}`;
  useEffect(() => {
    document.title = `${watch.name}${state} · Picket`;
  }, [watch, state]);
}
