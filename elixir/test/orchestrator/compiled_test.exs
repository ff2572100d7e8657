defmodule FlyDeployOrchestrator.CompiledTest do
  use ExUnit.Case, async: true

  alias FlyDeployOrchestrator.Compiled

  @moduletag :tmp_dir

  test "the agent's modules alone are written, whole, and always to the same bytes", %{tmp_dir: dir} do
    compiled =
      Code.compile_string("""
      defmodule FlyDeployCompiledTest.Part, do: def(run, do: :part)
      defmodule FlyDeployCompiledTest, do: def(run, do: FlyDeployCompiledTest.Part.run())
      defmodule FlyDeployElsewhere, do: def(run, do: :elsewhere)
      """)

    path = Path.join(dir, "agent")
    about = Compiled.write(compiled, FlyDeployCompiledTest, path)
    file = File.read!(path)
    assert about.size == byte_size(file)
    assert about.sha256 == Base.encode16(:crypto.hash(:sha256, file), case: :lower)
    assert {about.otp, about.elixir} == {System.otp_release(), System.version()}
    assert Compiled.write(Enum.reverse(compiled), FlyDeployCompiledTest, path) == about

    assert {:flydeploy_agent, 1, FlyDeployCompiledTest, beams} = :erlang.binary_to_term(file)
    assert Enum.map(beams, &elem(&1, 0)) == [FlyDeployCompiledTest, FlyDeployCompiledTest.Part]
    assert Enum.all?(beams, &match?({_, "FOR1" <> _}, &1)), "each by itself is not compressed"

    for {module, _} <- compiled do
      :code.purge(module)
      :code.delete(module)
    end

    assert :ok == :code.atomic_load(for {module, beam} <- beams, do: {module, [], beam})
    # Called by name the compiler would look for it, now and then before it is there.
    assert apply(FlyDeployCompiledTest, :run, []) == :part
  end
end
