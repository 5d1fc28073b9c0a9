/** Values and times as Prometheus writes them in JSON, as text. The fast way into bytes, for long matrices, is json-points.ts. */

/** Shortest text that reads back as the same number; exponents below 1e-6 and from 1e21 on, with at least two digits. As Go's encoding/json. */
export function formatValue(value: number): string {
  if (Number.isInteger(value)) {
    return value === 0 && Object.is(value, -0) ? '-0' : String(value);
  }
  if (Number.isFinite(value)) {
    const text = String(value);
    return value < 1e-6 && value > -1e-6 ? widenExponent(text) : text;
  }
  return value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN';
}

/** JavaScript writes 1e-7, Go 1e-07. */
function widenExponent(text: string): string {
  const at = text.indexOf('e');
  return at !== -1 && text.length === at + 3 ? `${text.slice(0, at + 2)}0${text.slice(at + 2)}` : text;
}

/** Milliseconds as seconds: whole, or with exactly three decimals. */
export function formatTime(timeMs: number): string {
  const whole = Math.trunc(timeMs / 1000);
  const rest = Math.abs(timeMs - whole * 1000);
  if (rest === 0) return String(whole);
  const sign = timeMs < 0 && whole === 0 ? '-' : '';
  return `${sign}${whole}.${rest < 100 ? (rest < 10 ? '00' : '0') : ''}${rest}`;
}
