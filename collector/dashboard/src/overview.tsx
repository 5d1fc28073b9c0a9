/** All hosts: what needs a look first, then the table with live values. */
import type { JSX } from 'preact';
import { signal, useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { ConnectionBanner, LiveSign } from './banner.tsx';
import { STATUSES } from './contract.ts';
import type { Status } from './contract.ts';
import { EnrollPanel } from './enroll.tsx';
import { countStatuses, troubled } from './fleet.ts';
import type { Counts, Filter } from './fleet.ts';
import { plural } from './format.ts';
import { HostsWatch } from './hosts-watch.ts';
import { HostTable } from './host-table.tsx';
import { Glyph, StatusIcon } from './icons.tsx';
import { formatRoute, RANGE_DEFAULT_MS } from './route.ts';
import { Failure, Skeleton } from './states.tsx';
import { sinceWords, STATUS_WORDS } from './status.tsx';

/** More names than this in the strip of trouble would push the table away; the rest is a filter. */
const TROUBLE_SHOWN_MAX = 6;

/** Kept while other views are shown, so that coming back finds the list as it was left. */
const filter = signal<Filter>({ text: '', status: 'all' });

export function Overview(): JSX.Element {
  const watch = useMemo(() => new HostsWatch(), []);
  useEffect(() => {
    void watch.open();
    return () => watch.close();
  }, [watch]);
  const counts = useComputed(() => {
    void watch.membership.value;
    return countStatuses(watch.fleet.all());
  });
  useTitle(counts.value);

  const phase = watch.phase.value;
  return (
    <main class="overview" data-connection={watch.connection.state.value.kind}>
      <ConnectionBanner connection={watch.connection} />
      <div class="view-head">
        <h1>Hosts</h1>
        <p class="summary" role="status">
          {phase.kind === 'ready' && summary(counts.value)}
        </p>
        {phase.kind === 'ready' && <LiveSign connection={watch.connection} />}
      </div>
      {phase.kind === 'loading' && <Skeleton rows={8} label="Loading the hosts" />}
      {phase.kind === 'failed' && (
        <Failure title="The hosts cannot be shown" sentence={phase.sentence} code={phase.code} onRetry={() => void watch.open()} />
      )}
      {phase.kind === 'ready' && (counts.value.all === 0 ? <Empty watch={watch} /> : <Fleet watch={watch} counts={counts.value} />)}
    </main>
  );
}

function Empty({ watch }: { readonly watch: HostsWatch }): JSX.Element {
  return (
    <section class="empty card" aria-labelledby="empty-title">
      <h2 id="empty-title">No host yet</h2>
      <EnrollPanel watch={watch} />
    </section>
  );
}

function Fleet({ watch, counts }: { readonly watch: HostsWatch; readonly counts: Counts }): JSX.Element {
  const adding = useSignal(false);
  const alone = counts.all === 1;
  return (
    <>
      <Trouble watch={watch} />
      <div class="toolbar">
        <FilterField />
        <StatusChips counts={counts} />
        {!alone && (
          <button type="button" class="add-host" aria-expanded={adding.value} onClick={() => (adding.value = !adding.value)}>
            <Glyph name="plus" />
            <span>Add a host</span>
          </button>
        )}
      </div>
      {adding.value && !alone && (
        <section class="card" aria-label="Add a host">
          <EnrollPanel watch={watch} />
        </section>
      )}
      <HostTable watch={watch} filter={filter} />
      {alone && (
        <section class="card second-host" aria-labelledby="second-title">
          <h2 id="second-title">Add a second host</h2>
          <EnrollPanel watch={watch} />
        </section>
      )}
    </>
  );
}

function Trouble({ watch }: { readonly watch: HostsWatch }): JSX.Element | null {
  void watch.membership.value;
  const hosts = troubled(watch.fleet.all());
  if (hosts.length === 0) return null;
  return (
    <section class="trouble" aria-label="Hosts that need a look">
      <ul>
        {hosts.slice(0, TROUBLE_SHOWN_MAX).map((host) => (
          <li key={host.name} data-status={host.status}>
            <a href={formatRoute({ page: 'host', name: host.name, view: { kind: 'live', rangeMs: RANGE_DEFAULT_MS } })}>
              <StatusIcon status={host.status} />
              <strong>{host.name}</strong>
              <span>
                {STATUS_WORDS[host.status].toLowerCase()} for {sinceWords(host.statusSince)}
              </span>
            </a>
          </li>
        ))}
      </ul>
      {hosts.length > TROUBLE_SHOWN_MAX && (
        <button type="button" class="link" onClick={() => (filter.value = { text: '', status: hosts[0]?.status ?? 'down' })}>
          and {plural(hosts.length - TROUBLE_SHOWN_MAX, 'more host')}
        </button>
      )}
    </section>
  );
}

function FilterField(): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  return (
    <label class="filter">
      <span class="off-screen">Filter hosts by name, system or status</span>
      <input
        ref={field}
        type="search"
        placeholder="Filter hosts"
        value={filter.value.text}
        onInput={(event) => (filter.value = { ...filter.value, text: event.currentTarget.value })}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

function StatusChips({ counts }: { readonly counts: Counts }): JSX.Element {
  const chosen = filter.value.status;
  const shown = (['all', ...STATUSES] as const).filter((status) => status === 'all' || counts[status] > 0 || status === chosen);
  const choose = (status: Status | 'all'): void => {
    filter.value = { ...filter.value, status };
  };
  return (
    <div class="chips" role="group" aria-label="Show only">
      {shown.map((status) => (
        <button
          key={status}
          type="button"
          class="chip"
          data-status={status}
          aria-pressed={chosen === status}
          onClick={() => choose(status)}
        >
          {status !== 'all' && <StatusIcon status={status} />}
          {status === 'all' ? 'All' : STATUS_WORDS[status]} <span class="count">{counts[status]}</span>
        </button>
      ))}
    </div>
  );
}

function summary(counts: Counts): string {
  const trouble = [counts.down > 0 ? `${counts.down} down` : '', counts.stale > 0 ? `${counts.stale} stale` : ''].filter(Boolean);
  if (counts.all === 0) return '';
  if (trouble.length === 0)
    return counts.up === counts.all ? `${plural(counts.all, 'host')}, all up` : `${plural(counts.all, 'host')}, ${counts.up} up`;
  return `${plural(counts.all, 'host')}, ${trouble.join(', ')}`;
}

function useTitle(counts: Counts): void {
  useEffect(() => {
    document.title = counts.down > 0 ? `${counts.down} down · Picket` : 'Hosts · Picket';
  }, [counts.down]);
}
