[
  inputs: ["{mix,.formatter,probe}.exs", "{lib,agent,orchestrator,test}/**/*.{ex,exs}"],
  line_length: 110
]
