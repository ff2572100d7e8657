defmodule FlyDeployAgent.PathsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{CodeFacts, Messages, Paths, Value}

  # Real code, with what compilers make of texts, records, comprehensions, floats and loops.
  @modules [
    Calendar.ISO,
    URI,
    GenServer,
    Version.Parser,
    Inspect.Algebra,
    :supervisor,
    :gen_statem,
    :queue,
    :filename
  ]

  for module <- @modules do
    test "all functions of #{inspect(module)} can be followed, and demand nothing of what is not known" do
      module = unquote(module)
      {_, beam, _} = :code.get_object_code(module)
      {:ok, code} = CodeFacts.functions(beam)

      for {{f, a} = function, body} <- code do
        program = Paths.program(fn m -> if m == module, do: code end, [{module, f, a}])
        told = Paths.follow(program, {module, f, a}, List.duplicate(:any, a))
        assert {function, told.misses} == {function, []}
        if a > 0, do: assert({function, Messages.refused(body, body)} == {function, []})
        # Whatever it is given, it ends.
        for state <- [%{a: %{b: [1]}}, {:state, nil, []}],
            do: Paths.follow(program, {module, f, a}, List.duplicate(Value.of(state), a))
      end
    end
  end
end
