defmodule FlyDeployAgent.Protocols do
  @moduledoc "Protocols that fall back to nothing any more: values of types without an implementation of their own raise."

  alias FlyDeployAgent.{Pair, Release}

  @deciding [:impl_for, :struct_impl_for]

  @doc "The findings about protocols whose implementation for everything is gone, and that somebody calls."
  @spec findings([Pair.t()]) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs) do
    for %{module: module, old: %{}} = pair <- pairs,
        {:__protocol__, 1} in pair.new.exports,
        falls_back?(pair, :old) and not falls_back?(pair, :new),
        called?(module, pairs) do
      %{
        name: "impl_gone",
        severity: :warn,
        subject: "#{inspect(module)} for Any",
        detail: "is no longer implemented, and values of types without an implementation of their own raise"
      }
    end
  end

  defp falls_back?(%{module: module} = pair, version) do
    any = Module.concat(module, Any)

    Enum.any?(Pair.code(pair, version), fn {{f, _}, body} ->
      f in @deciding and Enum.any?(body, &match?({:move, {:atom, ^any}, _}, &1))
    end)
  end

  defp called?(protocol, pairs) do
    Enum.any?(pairs, fn %{new: new} -> calls?(new.imports, protocol) end) or
      Enum.any?(:code.all_loaded(), fn {module, file} ->
        module != protocol and match?([_ | _], file) and Release.library?(List.to_string(file)) and
          calls?(imports(file), protocol)
      end)
  end

  defp imports(file) do
    case :beam_lib.chunks(file, [:imports]) do
      {:ok, {_, [imports: imports]}} -> imports
      _ -> []
    end
  end

  defp calls?(imports, protocol), do: Enum.any?(imports, fn {m, f, _} -> m == protocol and f != :impl_for end)
end
