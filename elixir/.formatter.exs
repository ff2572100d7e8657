[
  inputs: ["{mix,.formatter,probe,loaded}.exs", "{lib,agent,orchestrator,test}/**/*.{ex,exs}"],
  line_length: 110
]
