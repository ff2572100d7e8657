[inputs: ["{mix,.formatter}.exs", "{lib,test,versions}/**/*.{ex,exs}"], line_length: 120]
