/** What can go wrong with a query: one class, stable codes, a place in the text. Not the HTTP answer: that is made in http/. */

/** Codes are API, messages are not. */
export type QueryErrorCode =
  /** The text is no PromQL. */
  | 'query_syntax'
  /** Valid PromQL that this version does not evaluate. */
  | 'query_unsupported'
  /** A regular expression is not RE2's or longer than the limit. */
  | 'query_regexp'
  /** A number that came with the query (step, range) is out of bounds. */
  | 'query_range'
  /** The query would read or answer more than the limits allow. */
  | 'query_too_large'
  | 'query_timeout'
  | 'query_canceled';

/** Line and column count from 1, as an editor shows them. */
export type QueryPosition = { readonly line: number; readonly column: number };

export class QueryError extends Error {
  readonly code: QueryErrorCode;
  readonly position: QueryPosition | undefined;

  constructor(code: QueryErrorCode, message: string, options?: ErrorOptions & { readonly position?: QueryPosition }) {
    super(message, options);
    this.name = 'QueryError';
    this.code = code;
    this.position = options?.position;
  }
}

/** A mistake in the text, worded as Prometheus does: `line:column: parse error: what was found and what was expected`. */
export function parseError(text: string, offset: number, detail: string, code: QueryErrorCode = 'query_syntax'): QueryError {
  const position = positionOf(text, offset);
  return new QueryError(code, `${position.line}:${position.column}: parse error: ${detail}`, { position });
}

export function positionOf(text: string, offset: number): QueryPosition {
  let line = 1;
  let lineStart = 0;
  for (let i = text.indexOf('\n'); i !== -1 && i < offset; i = text.indexOf('\n', i + 1)) {
    line++;
    lineStart = i + 1;
  }
  return { line, column: offset - lineStart + 1 };
}
