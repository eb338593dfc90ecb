import type { Similarity } from '@clipyard/contracts';
import { Fragment, useState } from 'react';
import { formatPercent } from '../format.js';
import { pictureUrl } from './inside-tab.js';
import { matrixFigures } from './matrix-figures.js';

/** Pictures (rows) against captions (columns): the darker, the more similar. On the diagonal are those that belong together. */
export function SimilarityMatrix({ checkpointId, similarity }: { checkpointId: string; similarity: Similarity }) {
  const { samples, matrix, source, logitScale } = similarity;
  const { low, high, recall } = matrixFigures(matrix, samples);
  const [at, setAt] = useState<{ row: number; column: number }>();
  const shown = at ?? { row: 0, column: 0 };
  const level = (value: number) => (high === low ? 0.5 : (value - low) / (high - low));
  return (
    <div className="similarity">
      <div className="scroll-x">
        <table className="matrix">
          <caption className="visually-hidden">Cosine similarity of each picture with each caption</caption>
          <thead>
            <tr>
              <td />
              {samples.map(({ index, caption }, column) => (
                <th key={index} scope="col" className={column === at?.column ? 'at' : undefined} title={caption}>
                  <span>{caption}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody onMouseLeave={() => setAt(undefined)}>
            {samples.map(({ index, caption }, row) => (
              <tr key={index}>
                <th scope="row" className={row === at?.row ? 'at' : undefined}>
                  <img src={pictureUrl(checkpointId, index)} alt={caption} title={caption} width="30" height="30" />
                </th>
                {matrix[row]!.map((value, column) => (
                  <td
                    key={samples[column]!.index}
                    className={row === column ? 'own' : undefined}
                    style={{ background: heat(level(value)) }}
                    title={`${value.toFixed(3)}: ${caption} × ${samples[column]!.caption}`}
                    onMouseEnter={() => setAt({ row, column })}
                  >
                    <span className="visually-hidden">{value.toFixed(3)}</span>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <aside className="panel matrix-facts">
        <figure>
          <img
            src={pictureUrl(checkpointId, samples[shown.row]!.index)}
            alt={samples[shown.row]!.caption}
            width="112"
            height="112"
          />
          <figcaption>
            <strong>{matrix[shown.row]![shown.column]!.toFixed(3)}</strong> {samples[shown.column]!.caption}
          </figcaption>
        </figure>
        <dl className="facts">
          {(
            [
              ['Own caption is best', formatPercent(recall)],
              ['Logit scale', logitScale.toFixed(1)],
              ['Range', `${low.toFixed(2)} to ${high.toFixed(2)}`],
              ['Pictures of', source],
            ] as const
          ).map(([title, text]) => (
            <Fragment key={title}>
              <div>
                <dt>{title}</dt>
                <dd>{text}</dd>
              </div>
            </Fragment>
          ))}
        </dl>
        <div className="heat-scale" aria-hidden="true">
          <span>{low.toFixed(2)}</span>
          <span className="heat-ramp" />
          <span>{high.toFixed(2)}</span>
        </div>
      </aside>
    </div>
  );
}

const heat = (level: number): string =>
  `color-mix(in oklab, var(--heat-high) ${(100 * level).toFixed(1)}%, var(--heat-low))`;
