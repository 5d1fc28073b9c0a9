/** What the HTTP side answers when it cannot do what was asked: status, stable code and a sentence. Prometheus's words for errorType. */
import { QueryLimitError } from '../model/query-limit.ts';
import { QueryError, type QueryErrorCode } from '../query/errors.ts';

/** Codes are API: each is one cause, and its sentence says what to do. */
export type HttpErrorCode =
  | QueryErrorCode
  | 'parameter_invalid'
  | 'body_invalid'
  | 'body_too_large'
  | 'body_slow'
  | 'media_type'
  | 'not_found'
  | 'host_unknown'
  | 'agent_unknown'
  | 'token_unknown'
  | 'method_not_allowed'
  | 'unauthenticated'
  | 'token_wrong'
  | 'login_limited'
  | 'login_code_invalid'
  | 'session_limit'
  | 'origin_mismatch'
  | 'query_queue_full'
  | 'stream_limit'
  | 'store_closed'
  | 'warming'
  | 'page_missing'
  | 'internal';

/** Prometheus's `errorType`, and two of our own for what it leaves to proxies. */
export type ErrorType =
  | 'bad_data'
  | 'execution'
  | 'timeout'
  | 'canceled'
  | 'unavailable'
  | 'not_found'
  | 'internal'
  | 'unauthorized'
  | 'forbidden';

const ERROR_TYPES: Readonly<Record<number, ErrorType>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  422: 'execution',
  429: 'unavailable',
  499: 'canceled',
  500: 'internal',
  503: 'unavailable',
};

export class HttpError extends Error {
  readonly status: number;
  readonly code: HttpErrorCode;
  readonly errorType: ErrorType;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: HttpErrorCode,
    message: string,
    options?: ErrorOptions & { readonly errorType?: ErrorType; readonly headers?: Readonly<Record<string, string>> },
  ) {
    super(message, options);
    this.name = 'HttpError';
    this.status = status;
    this.code = code;
    this.errorType = options?.errorType ?? ERROR_TYPES[status] ?? 'bad_data';
    this.headers = options?.headers ?? {};
  }
}

export function parameterError(name: string, detail: string, cause?: unknown): HttpError {
  return new HttpError(400, 'parameter_invalid', `invalid parameter "${name}": ${detail}`, { cause });
}

/** Any thrown value as an HttpError. What is not known is `internal`, without its text: that goes to the log. */
export function httpErrorOf(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof QueryError) return queryHttpError(error);
  if (error instanceof QueryLimitError) return new HttpError(422, 'query_too_large', error.message, { cause: error });
  return new HttpError(500, 'internal', 'the collector failed on this request; its log says why', { cause: error });
}

function queryHttpError(error: QueryError): HttpError {
  switch (error.code) {
    case 'query_too_large':
      return new HttpError(422, error.code, error.message, { cause: error });
    case 'query_timeout':
      return new HttpError(503, error.code, error.message, { cause: error, errorType: 'timeout' });
    case 'query_canceled':
      return new HttpError(499, error.code, error.message, { cause: error, errorType: 'canceled' });
    case 'query_syntax':
    case 'query_unsupported':
    case 'query_regexp':
    case 'query_range':
      return new HttpError(400, error.code, error.message, { cause: error });
  }
}

export type ErrorEnvelope = {
  readonly status: 'error';
  readonly errorType: ErrorType;
  readonly error: string;
  readonly code?: HttpErrorCode;
};

/** `strict`: Prometheus's envelope and no more; its schema forbids further fields. The code is then in the header alone. */
export function errorEnvelope(error: HttpError, strict: boolean): ErrorEnvelope {
  const envelope = { status: 'error', errorType: error.errorType, error: error.message } as const;
  return strict ? envelope : { ...envelope, code: error.code };
}
