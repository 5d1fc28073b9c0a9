/** Types of msgpackr's entry that never compiles code; the package ships none for it. */
declare module 'msgpackr/index-no-eval' {
  export * from 'msgpackr';
}
