import { ALARMS, type Alarm } from '@clipyard/contracts';
import { formatCount } from '../format.js';

/** What a run is warned of now, each with what to do. */
export function Alarms({ alarms }: { alarms: readonly Alarm[] }) {
  return alarms.map(({ code, severity, sinceStep, message, remedy }) => (
    <section key={code} className={`panel alarm alarm-${severity}`} role="status">
      <h2>
        {ALARMS[code].title} <span className="muted">since step {formatCount(sinceStep)}</span>
      </h2>
      <p>
        {message} <strong className="remedy">{remedy}</strong>
      </p>
    </section>
  ));
}
