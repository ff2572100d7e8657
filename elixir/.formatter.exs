[
  inputs: ["{mix,.formatter,hook,probe,loaded,settings}.exs", "{lib,agent,orchestrator,test}/**/*.{ex,exs}"],
  line_length: 110
]
