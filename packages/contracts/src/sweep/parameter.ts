import { z } from 'zod';

const points = z.int().min(2).max(1000).optional().describe('Points of the grid, both ends among them');

/** How the values of one parameter are chosen. Values of `uniform` and `logUniform` have four significant digits. */
export const parameterSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('choice').describe('One of a list'),
    values: z.array(z.unknown()).min(1).max(1000).describe('The values, of any type that the field takes'),
  }),
  z.strictObject({
    type: z.literal('uniform').describe('A number between two others'),
    min: z.number().describe('Least value'),
    max: z.number().describe('Largest value'),
    points,
  }),
  z.strictObject({
    type: z.literal('logUniform').describe('A number whose logarithm is uniform, as for learning rates'),
    min: z.number().positive().describe('Least value'),
    max: z.number().positive().describe('Largest value'),
    points,
  }),
  z.strictObject({
    type: z.literal('int').describe('An integer between two others, both included'),
    min: z.int().describe('Least value'),
    max: z.int().describe('Largest value'),
    points,
  }),
]);
export type SweepParameter = z.infer<typeof parameterSchema>;
