/** The part of Buildkite's GraphQL schema that bake uses, in its names and types: anything else is refused as it would be there. */
import { buildSchema } from "graphql";

export const schema = buildSchema(`
  scalar DateTime

  interface Node { id: ID! }

  type Query {
    organization(slug: ID!): Organization
    agent(slug: ID!): Agent
    node(id: ID!): Node
  }

  type Mutation {
    agentStop(input: AgentStopInput!): AgentStopPayload
    agentPause(input: AgentPauseInput!): AgentPausePayload
    agentResume(input: AgentResumeInput!): AgentResumePayload
  }

  input AgentStopInput { clientMutationId: String, graceful: Boolean = true, id: ID! }
  type AgentStopPayload { agent: Agent!, clientMutationId: String }
  input AgentPauseInput { clientMutationId: String, id: ID!, note: String, timeoutInMinutes: Int }
  type AgentPausePayload { agent: Agent!, clientMutationId: String }
  input AgentResumeInput { clientMutationId: String, id: ID! }
  type AgentResumePayload { agent: Agent!, clientMutationId: String }

  type Organization implements Node {
    id: ID!
    uuid: String!
    slug: String!
    name: String!
    agents(
      after: String, before: String, cluster: ID, clusterQueue: [ID!], clustered: Boolean = true, first: Int,
      isRunningJob: Boolean, last: Int, metaData: [String!], paused: Boolean, search: String
    ): AgentConnection
  }

  type AgentConnection { count: Int!, edges: [AgentEdge], pageInfo: PageInfo }
  type AgentEdge { cursor: String!, node: Agent }
  type PageInfo { endCursor: String, hasNextPage: Boolean!, hasPreviousPage: Boolean!, startCursor: String }

  type ClusterQueue implements Node { id: ID!, uuid: ID!, key: String!, dispatchPaused: Boolean! }

  type Agent implements Node {
    id: ID!
    uuid: String!
    name: String!
    hostname: String
    metaData: [String!]
    connectedAt: DateTime
    createdAt: DateTime
    connectionState: String!
    isRunningJob: Boolean!
    job: Job
    paused: Boolean!
    pausedNote: String
    clusterQueue: ClusterQueue
    version: String
  }

  type JobTypeCommand implements Node { id: ID!, uuid: String!, url: String!, label: String }
  type JobTypeTrigger implements Node { id: ID!, uuid: String! }
  union Job = JobTypeCommand | JobTypeTrigger
`);
